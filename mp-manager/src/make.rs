//! What a [`Manager`] makes in its server.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::protocol::{Init, Request};
use crate::scope::{pack, pack_all};
use crate::{
    Array, Barrier, BoundedSemaphore, CallError, Condition, Dict, Error, Event, JoinableQueue,
    List, Lock, Manager, Namespace, Pool, Proxy, Queue, RLock, Semaphore, Served, Service, Set,
    Value,
};

impl Manager {
    /// An empty [`Dict`].
    ///
    /// # Errors
    ///
    /// [`Error::Disconnected`], as for every object.
    pub fn dict<K, V>(&self) -> Result<Dict<K, V>, Error>
    where
        K: Serialize + DeserializeOwned,
        V: Serialize + DeserializeOwned,
    {
        self.make(Init::Pairs(Vec::new()))
    }

    /// An empty [`List`].
    ///
    /// # Errors
    ///
    /// As [`dict`](Manager::dict).
    pub fn list<T: Serialize + DeserializeOwned>(&self) -> Result<List<T>, Error> {
        self.make(Init::Values(Vec::new()))
    }

    /// A [`List`] of these values.
    ///
    /// # Errors
    ///
    /// As [`dict`](Manager::dict); [`Error::Encode`], [`Error::TooBig`].
    pub fn list_of<T: Serialize + DeserializeOwned>(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Result<List<T>, Error> {
        let list = self.list()?;
        list.extend(values)?;
        Ok(list)
    }

    /// An empty [`Set`].
    ///
    /// # Errors
    ///
    /// As [`dict`](Manager::dict).
    pub fn set<T: Serialize + DeserializeOwned>(&self) -> Result<Set<T>, Error> {
        self.make(Init::Pairs(Vec::new()))
    }

    /// An empty [`Namespace`].
    ///
    /// # Errors
    ///
    /// As [`dict`](Manager::dict).
    pub fn namespace(&self) -> Result<Namespace, Error> {
        self.make(Init::Pairs(Vec::new()))
    }

    /// A [`Value`].
    ///
    /// # Errors
    ///
    /// As [`dict`](Manager::dict); [`Error::Encode`], [`Error::TooBig`].
    pub fn value<T: Serialize + DeserializeOwned>(&self, value: &T) -> Result<Value<T>, Error> {
        self.make(Init::Pairs(vec![(Value::<T>::key(), pack(self.session(), value)?)]))
    }

    /// An [`Array`] of these values.
    ///
    /// # Errors
    ///
    /// As [`dict`](Manager::dict); [`Error::Encode`], [`Error::TooBig`].
    pub fn array<T: Serialize + DeserializeOwned>(
        &self,
        values: impl IntoIterator<Item = T>,
    ) -> Result<Array<T>, Error> {
        let values: Vec<T> = values.into_iter().collect();
        self.make(Init::Values(pack_all(self.session(), &values)?))
    }

    /// A [`Queue`] for at most `maxsize` values; 0 is no bound.
    ///
    /// # Errors
    ///
    /// As [`dict`](Manager::dict).
    pub fn queue<T: Serialize + DeserializeOwned>(
        &self,
        maxsize: usize,
    ) -> Result<Queue<T>, Error> {
        self.make(Init::Number(maxsize as u64))
    }

    /// A [`JoinableQueue`] for at most `maxsize` values; 0 is no bound.
    ///
    /// # Errors
    ///
    /// As [`dict`](Manager::dict).
    pub fn joinable_queue<T: Serialize + DeserializeOwned>(
        &self,
        maxsize: usize,
    ) -> Result<JoinableQueue<T>, Error> {
        self.make(Init::Number(maxsize as u64))
    }

    /// A [`Lock`].
    ///
    /// # Errors
    ///
    /// As [`dict`](Manager::dict).
    pub fn lock(&self) -> Result<Lock, Error> {
        self.make(Init::Empty)
    }

    /// An [`RLock`].
    ///
    /// # Errors
    ///
    /// As [`dict`](Manager::dict).
    pub fn rlock(&self) -> Result<RLock, Error> {
        self.make(Init::Empty)
    }

    /// A [`Condition`] with an [`RLock`] of its own.
    ///
    /// # Errors
    ///
    /// As [`dict`](Manager::dict).
    pub fn condition(&self) -> Result<Condition, Error> {
        self.make(Init::Empty)
    }

    /// A [`Semaphore`] with so many permits.
    ///
    /// # Errors
    ///
    /// As [`dict`](Manager::dict); [`Error::Overflow`] above 2,147,483,647.
    pub fn semaphore(&self, permits: u32) -> Result<Semaphore, Error> {
        self.make(Init::Number(permits.into()))
    }

    /// A [`BoundedSemaphore`] with so many permits.
    ///
    /// # Errors
    ///
    /// As [`semaphore`](Manager::semaphore).
    pub fn bounded_semaphore(&self, permits: u32) -> Result<BoundedSemaphore, Error> {
        self.make(Init::Number(permits.into()))
    }

    /// An [`Event`] that is not set.
    ///
    /// # Errors
    ///
    /// As [`dict`](Manager::dict).
    pub fn event(&self) -> Result<Event, Error> {
        self.make(Init::Empty)
    }

    /// A [`Barrier`] for so many parties.
    ///
    /// # Errors
    ///
    /// As [`dict`](Manager::dict); [`Error::Protocol`] for none.
    pub fn barrier(&self, parties: usize) -> Result<Barrier, Error> {
        self.make(Init::Number(parties as u64))
    }

    /// A [`Pool`] of so many workers, which the server starts.
    ///
    /// # Errors
    ///
    /// As [`dict`](Manager::dict). If the workers cannot be started, the first call says so.
    pub fn pool(&self, workers: usize) -> Result<Pool, Error> {
        self.make(Init::Number(workers as u64))
    }

    /// An object of a user's type, which must be [registered](crate::Builder::register) under this name.
    ///
    /// # Errors
    ///
    /// [`CallError::Refused`] with what [`Service::open`] said; [`Error::Unregistered`];
    /// [`Error::Mismatch`] when another type is registered under the name;
    /// [`Error::Disconnected`].
    pub fn create<S: Service>(
        &self,
        name: &str,
        args: &S::Args,
    ) -> Result<Served<S>, CallError<S::Error>> {
        Served::create(self.session(), name, args)
    }

    fn make<P: Proxy>(&self, init: Init) -> Result<P, Error> {
        self.object(&Request::Create { shape: P::shape(), init })
    }
}
