//! One contract, the same code on the in-process server in every profile and on real ones.

use crate::support::{Access, Running, Target};

/// Makes a test of each case on each server. The module it stands in says in `ACCESS` who is let in.
macro_rules! on_every_server {
    ($($case:ident)*) => {
        on_every_server!(@on embedded_redis_6_2, Target::Embedded(Profile::Redis6_2), $($case)*);
        on_every_server!(@on embedded_redis_7_0, Target::Embedded(Profile::Redis7_0), $($case)*);
        on_every_server!(@on embedded_redis_8_4, Target::Embedded(Profile::Redis8_4), $($case)*);
        on_every_server!(@on embedded_valkey_9, Target::Embedded(Profile::Valkey9), $($case)*);
        on_every_server!(@on embedded_valkey_9_tcp, Target::EmbeddedTcp(Profile::Valkey9), $($case)*);
        on_every_server!(@on redis_6_2, Target::Real(Kind::Redis6_2), $($case)*);
        on_every_server!(@on redis_7_0, Target::Real(Kind::Redis7_0), $($case)*);
        on_every_server!(@on redis_7_0_unix, Target::RealUnix(Kind::Redis7_0), $($case)*);
        on_every_server!(@on valkey_9_1, Target::Real(Kind::Valkey9_1), $($case)*);
    };
    (@on $server:ident, $target:expr, $($case:ident)*) => {
        mod $server {
            #[allow(unused_imports, reason = "a target names one of the two")]
            use crate::{real::Kind, support::Target};
            #[allow(unused_imports, reason = "a target names one of the two")]
            use tenure_server::Profile;
            $(
                #[tokio::test]
                async fn $case() {
                    crate::contract::run($target, super::ACCESS, super::$case).await;
                }
            )*
        }
    };
}

mod batches;
mod blocking;
mod commands;
mod elder;
mod fair;
mod fair_rights;
mod fencing;
mod forbidden;
mod handshake;
mod hearing;
mod locks;
mod operators;
mod pubsub;
mod several;
mod terms;
mod trials;
mod unloaded;
mod waiting;

async fn run(target: Target, access: Access, case: impl AsyncFnOnce(&Running)) {
    if let Some(running) = target.start(access).await {
        case(&running).await;
    }
}
