//! How many refer to each object: what is made, held, and freed.

use super::{Effects, World};
use crate::object::Object;
use crate::protocol::{Failure, Init, ObjectId, Shape};
use crate::raw::{Outbox, SessionId, Who};

impl World {
    pub(super) fn create(
        &mut self,
        who: Who,
        shape: Shape,
        init: Init,
        out: &mut Outbox,
    ) -> Result<ObjectId, Failure> {
        self.check(&init.refs())?;
        let object = Object::new(shape, init, &self.desks, out)?;
        self.last_object += 1;
        self.objects.insert(self.last_object, object);
        self.grant(who.session, self.last_object, 1);
        Ok(self.last_object)
    }

    pub(super) fn object(&mut self, id: ObjectId) -> Result<&mut Object, Failure> {
        self.objects.get_mut(&id).ok_or(Failure::Gone)
    }

    pub(super) fn check(&self, refs: &[ObjectId]) -> Result<(), Failure> {
        match refs.iter().all(|object| self.objects.contains_key(object)) {
            true => Ok(()),
            false => Err(Failure::Gone),
        }
    }

    /// Gives `session` so many more references to the object.
    pub(super) fn grant(&mut self, session: SessionId, id: ObjectId, count: u64) {
        if let Some(session) = self.sessions.get_mut(&session)
            && let Some(object) = self.objects.get_mut(&id)
        {
            let held = session.refs.entry(id).or_default();
            let granted = count.min(u64::MAX - *held);
            *held += granted;
            object.count += u128::from(granted);
        }
    }

    pub(super) fn uncount(&mut self, id: ObjectId, count: u64, out: &mut Outbox) {
        if let Some(object) = self.objects.get_mut(&id) {
            object.count = object.count.saturating_sub(count.into());
            if object.count == 0
                && let Some(mut object) = self.objects.remove(&id)
            {
                object.clear(out);
            }
        }
    }

    /// Brings the counts up to date: first whatever is referred to once more, in stored values
    /// and in answers, then whatever is referred to once less, and what ends by that.
    pub(super) fn settle(&mut self, mut out: Outbox) -> Effects {
        let mut effects = Effects::default();
        loop {
            for object in std::mem::take(&mut out.kept) {
                if let Some(object) = self.objects.get_mut(&object) {
                    object.count += 1;
                }
            }
            for (conn, answer) in std::mem::take(&mut out.answers) {
                self.unpark(conn);
                let session = self.conns.get(&conn).map(|conn| conn.who.session);
                if let (Ok(reply), Some(session)) = (&answer, session) {
                    for object in reply.refs() {
                        self.grant(session, object, 1);
                    }
                }
                effects.answers.push((conn, answer));
            }
            let freed = std::mem::take(&mut out.freed);
            if freed.is_empty() && out.answers.is_empty() {
                return effects;
            }
            for object in freed {
                self.uncount(object, 1, &mut out);
            }
        }
    }
}
