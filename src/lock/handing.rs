//! What an acquire call hands out, a guard or what is made of one, once there are as many copies of its lock as its options ask for.

use crate::lock::acquire::Acquiring;
use crate::lock::error::AcquireError;
use crate::lock::guard::Guard;
use crate::lock::options::Durability;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// What an acquire call hands out.
pub(crate) trait HandedOut: Sized {
    /// # Errors
    ///
    /// If the guard is not what was called for.
    fn of(guard: Guard) -> Result<Self, AcquireError>;

    /// The same of a call that has ended without guard or error, as only a single attempt does.
    fn none() -> Result<Self, AcquireError> {
        Err(AcquireError::Closed)
    }
}

impl HandedOut for Guard {
    #[inline]
    fn of(guard: Guard) -> Result<Self, AcquireError> {
        Ok(guard)
    }
}

impl<T: HandedOut> HandedOut for Option<T> {
    #[inline]
    fn of(guard: Guard) -> Result<Self, AcquireError> {
        T::of(guard).map(Some)
    }

    fn none() -> Result<Self, AcquireError> {
        Ok(None)
    }
}

type Securing<'a> = dyn Future<Output = Result<Guard, AcquireError>> + Send + 'a;

/// An acquire call, and what its guard has to wait for before it is handed out.
pub(crate) struct Handing<'a, T> {
    acquiring: Acquiring<'a>,
    /// On the side, as every acquire call would otherwise have room for it.
    securing: Option<Pin<Box<Securing<'a>>>>,
    handed_out: PhantomData<fn() -> T>,
}

impl<'a, T> Handing<'a, T> {
    #[inline]
    pub(crate) fn new(acquiring: Acquiring<'a>) -> Self {
        Self { acquiring, securing: None, handed_out: PhantomData }
    }
}

impl<T: HandedOut> Future for Handing<'_, T> {
    type Output = Result<T, AcquireError>;

    #[inline] // of whoever waits, to whom a guard moves once
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.securing.is_none() {
            match ready!(Pin::new(&mut self.acquiring).poll(cx)) {
                Ok(Some(guard)) => match self.acquiring.lock().durability() {
                    None => return Poll::Ready(T::of(guard)),
                    Some(wanted) => self.begin_to_secure(guard, wanted),
                },
                Ok(None) => return Poll::Ready(T::none()),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.secure(cx)
    }
}

impl<T: HandedOut> Handing<'_, T> {
    #[cold]
    fn begin_to_secure(&mut self, guard: Guard, wanted: Durability) {
        self.securing = Some(Box::pin(self.acquiring.lock().secure_as(guard, wanted)));
    }

    #[cold]
    fn secure(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, AcquireError>> {
        let Some(securing) = &mut self.securing else { return Poll::Ready(T::none()) };
        securing.as_mut().poll(cx).map(|secure| T::of(secure?))
    }
}
