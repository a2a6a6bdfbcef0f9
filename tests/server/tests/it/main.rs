//! The server from outside: what it answers, what it pushes, how it breaks, how it ends.

mod blocking;
mod facts;
mod faults;
mod lifecycle;
mod link;
mod pushes;
mod restarts;
mod support;
