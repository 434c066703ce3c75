//! What all proxies have in common.

use std::sync::Arc;

use crate::handle::Handle;
use crate::protocol::Shape;

/// A proxy of an object that lives in a manager's server.
///
/// Cloning one costs no request: clones share one reference. Proxies are equal if they stand for
/// the same object. They are handles: sent to another process, or stored in another managed
/// object, they stand for the same object there. The trait is sealed.
pub trait Proxy: Clone + sealed::Sealed {}

pub(crate) mod sealed {
    use super::*;

    pub trait Sealed: Sized {
        fn shape() -> Shape;
        fn of(handle: Arc<Handle>) -> Self;
        fn handle(&self) -> &Arc<Handle>;
    }
}

/// Writes the traits of a proxy out: of one `$name { handle, types }`, or of one that has another
/// proxy inside.
macro_rules! proxy {
    ($name:ident $(<$($param:ident),+>)?, $kind:ident) => {
        $crate::proxy::proxy!(@ $name $(<$($param),+>)?, $kind, handle => $name {
            handle $(, types: std::marker::PhantomData::<fn() -> ($($param,)+)>)?
        }, this => &this.handle);
    };
    ($name:ident $(<$($param:ident),+>)?, $kind:ident, inside $inner:ident) => {
        $crate::proxy::proxy!(@ $name $(<$($param),+>)?, $kind, handle => $name {
            $inner: $crate::proxy::sealed::Sealed::of(handle)
        }, this => $crate::proxy::sealed::Sealed::handle(&this.$inner));
    };
    (
        @ $name:ident $(<$($param:ident),+>)?, $kind:ident,
        $handle:ident => $new:expr, $this:ident => $get:expr
    ) => {
        impl $(<$($param),+>)? $crate::proxy::sealed::Sealed for $name $(<$($param),+>)? {
            fn shape() -> $crate::protocol::Shape {
                $crate::protocol::Shape::new(
                    $crate::protocol::Kind::$kind,
                    &[$($(std::any::type_name::<$param>()),+)?],
                )
            }

            fn of($handle: std::sync::Arc<$crate::handle::Handle>) -> Self {
                $new
            }

            fn handle(&self) -> &std::sync::Arc<$crate::handle::Handle> {
                let $this = self;
                $get
            }
        }

        impl $(<$($param),+>)? $crate::Proxy for $name $(<$($param),+>)? {}

        impl $(<$($param),+>)? Clone for $name $(<$($param),+>)? {
            fn clone(&self) -> Self {
                $crate::proxy::sealed::Sealed::of($crate::proxy::sealed::Sealed::handle(self).clone())
            }
        }

        /// The same object.
        impl $(<$($param),+>)? PartialEq for $name $(<$($param),+>)? {
            fn eq(&self, other: &Self) -> bool {
                $crate::proxy::sealed::Sealed::handle(self)
                    .same($crate::proxy::sealed::Sealed::handle(other))
            }
        }

        impl $(<$($param),+>)? Eq for $name $(<$($param),+>)? {}

        impl $(<$($param),+>)? std::fmt::Debug for $name $(<$($param),+>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                $crate::proxy::sealed::Sealed::handle(self).fmt(f)
            }
        }

        /// A handle: for messages to other processes, and for values of managed objects.
        impl $(<$($param),+>)? serde::Serialize for $name $(<$($param),+>)? {
            fn serialize<Z: serde::Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
                $crate::proxy::sealed::Sealed::handle(self).serialize(serializer)
            }
        }

        impl<'de $(, $($param),+)?> serde::Deserialize<'de> for $name $(<$($param),+>)? {
            fn deserialize<Z: serde::Deserializer<'de>>(deserializer: Z) -> Result<Self, Z::Error> {
                let shape = <Self as $crate::proxy::sealed::Sealed>::shape();
                $crate::handle::Handle::deserialize(deserializer, &shape, |found| *found == shape)
                    .map($crate::proxy::sealed::Sealed::of)
            }
        }
    };
}

pub(crate) use proxy;
