//! The engine that decides, and behind it the follower when somebody asks for near misses: both are
//! told the same, in one place, so that nothing reaches the one and not the other.

use std::ops::Deref;

use reap_core::engine::Engine;
use reap_core::entry::{Entered, EntryIntent};
use reap_core::event::Event;
use reap_core::follower::{Follower, NearMiss};
use reap_core::intent::Intent;
use reap_core::note::EngineNote;
use reap_core::position::{PositionId, PositionSpec, RegisterError};
use reap_core::units::Nanos;

/// See the module. Whatever only reads goes to the engine itself.
pub(super) struct Followed {
    engine: Engine,
    follower: Option<Box<Follower>>,
}

impl Followed {
    /// An engine that nobody follows.
    pub(super) const fn new(engine: Engine) -> Self {
        Self { engine, follower: None }
    }

    /// Lets another engine follow, made like this one; neither was told anything yet.
    pub(super) fn follow(&mut self, other: Engine) {
        self.follower = Some(Box::new(Follower::new(other)));
    }

    pub(super) fn follower(&self) -> Option<&Follower> {
        self.follower.as_deref()
    }

    pub(super) fn on_event(&mut self, now: Nanos, event: &Event) {
        self.engine.on_event(now, event);
        if let Some(follower) = &mut self.follower {
            follower.on_event(now, event);
        }
    }

    pub(super) fn register(
        &mut self,
        now: Nanos,
        spec: &PositionSpec,
    ) -> Result<PositionId, RegisterError> {
        if let Some(follower) = &mut self.follower {
            // What it says of it, the engine says too.
            let _ = follower.register(now, spec);
        }
        self.engine.register(now, spec)
    }

    pub(super) fn poll_intent(&mut self) -> Option<Intent> {
        let intent = self.engine.poll_intent()?;
        if let Some(follower) = &mut self.follower {
            follower.on_intent(&intent);
        }
        Some(intent)
    }

    pub(super) fn poll_entered(&mut self) -> Option<Entered> {
        self.engine.poll_entered()
    }

    pub(super) fn poll_entry(&mut self) -> Option<EntryIntent> {
        self.engine.poll_entry()
    }

    pub(super) fn poll_note(&mut self) -> Option<EngineNote> {
        self.engine.poll_note()
    }

    pub(super) fn poll_near_miss(&mut self) -> Option<NearMiss> {
        self.follower.as_mut()?.poll_near_miss()
    }
}

impl Deref for Followed {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.engine
    }
}
