//! What the configuration has happen at its time: positions are opened, an operator acts.

use reap_core::event::Which;
use reap_core::position::{PositionSpec, Side};
use reap_core::units::Nanos;

use super::Pipeline;
use crate::config::{Input, Opened, Target, TimedInput};
use crate::story::{Note, Watcher};

impl Pipeline {
    /// The first message says when the market begins, and so when an operator acts.
    pub(super) fn start(&mut self, at: Nanos) {
        if self.started {
            return;
        }
        self.started = true;
        let inputs = &self.story.config().inputs;
        let mut inputs: Vec<_> = inputs.iter().map(|one| (one.due(at), *one)).collect();
        inputs.sort_by_key(|(due, _)| *due);
        self.inputs = inputs.into();
    }

    pub(super) fn on_input(&mut self, input: &TimedInput, watch: Watcher<'_>) {
        let which = match input.target().unwrap_or(Target::All) {
            Target::Position(at) => match self.story.standings()[at].id {
                Some(id) => Which::Position(id),
                // It was never opened: there is nothing to close.
                None => return,
            },
            Target::Venue(venue) => Which::Venue(venue),
            Target::Tag(tag) => Which::Tag(tag),
            Target::All => Which::All,
        };
        if let Input::Read { account, instrument, qty } = input.input {
            self.on_held(account, instrument, qty);
        }
        if let Some(event) = input.event(which) {
            self.engine.on_event(self.now, &event);
        }
        self.pump(watch);
    }

    /// Registers every position whose time has come and whose prices are known.
    pub(super) fn open_ready(&mut self, watch: Watcher<'_>) {
        self.opened_until = self.opened_until.max(self.now);
        let waiting = std::mem::take(&mut self.waiting);
        for at in waiting {
            let config = self.story.config();
            let position = &config.positions[at];
            let engine = &self.engine;
            // Entries that wait for a quote take those of one moment: when every leg has one.
            let ready = match position.opened {
                Opened::At(opened) if opened > self.now => None,
                _ => position.resolve(&config.instruments, |id| {
                    engine.quote(id).map(|(quote, at)| (at, quote))
                }),
            };
            match ready {
                Some(spec) => self.open(at, spec, watch),
                None => self.waiting.push(at),
            }
        }
    }

    fn open(&mut self, at: usize, spec: PositionSpec, watch: Watcher<'_>) {
        let settings = &self.story.config().policies[usize::from(spec.policy.0)].policy.exit;
        for leg in &spec.legs {
            let venue = self.story.instrument(leg.instrument).spec().venue;
            let qty = match leg.side {
                Side::Long => leg.qty.raw(),
                Side::Short => -leg.qty.raw(),
            };
            self.venues[usize::from(venue.0)].deposit(leg.account, leg.instrument, qty);
        }
        let admitted = self.executor.admits(&spec, settings).map_err(|error| error.to_string());
        let registered = admitted.and_then(|()| {
            let id = self.engine.register(self.now, &spec).map_err(|error| error.to_string())?;
            let taken = self.executor.register(id, &spec, settings);
            taken.map(|()| id).map_err(|error| error.to_string())
        });
        if registered.is_ok() {
            let policy = &self.story.config().policies[usize::from(spec.policy.0)].policy;
            self.reads.on_opened(self.now, policy, &spec);
        }
        self.story.resolved(at, spec);
        match registered {
            Ok(id) => {
                self.story.on_note(self.now, &Note::Opened { at, id }, watch);
                let config = &self.story.config().positions[at];
                let known = TimedInput::liquidations(at, config);
                let known = known.filter_map(|known| known.event(Which::Position(id)));
                for event in known.collect::<Vec<_>>() {
                    self.pump(watch);
                    self.engine.on_event(self.now, &event);
                }
            }
            Err(why) => self.story.refused(self.now, at, why, watch),
        }
        self.pump(watch);
    }
}
