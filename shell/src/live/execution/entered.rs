//! Positions and entries that execution did not open itself: what earlier runs have left, what entries
//! become, and what is told of those that do not end.

use arrayvec::ArrayVec;
use reap_core::entry::{ENTRY_LEGS_MAX, TaskId};
use reap_core::executor::EntryView;
use reap_core::limits::{ENTRIES_MAX, LEGS_MAX};
use reap_core::log::{Named, Record, Text};
use reap_core::recovery::OpenPosition;
use reap_core::units::{Nanos, Qty};

use super::{ExecutionAgent, Held, Watched};
use crate::live::wires::Told;
use crate::story::{Arrival, Note};

impl ExecutionAgent {
    /// A position of earlier runs, which the executor has already.
    pub(super) fn carry_on(&mut self, position: OpenPosition) {
        let OpenPosition { id, name, spec, .. } = position;
        for leg in 0..spec.legs.len() {
            let order = self.executor.leg(id, leg).and_then(|leg| leg.order);
            if let Some((order, _)) = order.filter(|(_, state)| state.is_live()) {
                // When it left is not known: it is no part of the latencies.
                let watched = Watched { id: Some(order), sent: 0, acked: true, filled: true };
                self.watched[id.slot()][leg] = watched;
            }
        }
        self.gateway.on_opened(&spec);
        let name = name.unwrap_or(Text::cut(""));
        self.positions[id.slot()] = Some(Held { id, name, spec, settled: [0; LEGS_MAX] });
    }

    /// A position that has come of an entry: its task names it, or the position whose place it takes.
    pub(super) fn arrive(&mut self, now: Nanos, arrival: &Arrival) {
        let (id, spec) = (arrival.id, arrival.spec());
        let exit = self.policies[usize::from(spec.policy.0)].clone();
        let taken = self.executor.register(id, &spec, &exit);
        let before = arrival.of.and_then(|of| {
            let held = self.positions.get(of.slot())?.as_ref()?;
            (held.id == of).then_some(held.name)
        });
        let by_task = self.tasks.get(usize::from(arrival.task.0)).copied();
        let name = before.or(by_task).unwrap_or(Text::cut(""));
        self.note(Told::Note(now, Note::Entered(*arrival)));
        if let Err(error) = taken {
            // Room for it was counted from the beginning, and it was made of what was filled.
            let text = format!("{}: {error}; what was entered is not watched", name.as_str());
            self.note(Told::Alarm(now, text.into_boxed_str()));
            return;
        }
        self.gateway.on_entered(&spec);
        self.ask(now);
        self.append(now, &Record::Name { of: Named::Position(id), text: name });
        self.append(now, &Record::Position { id, spec: spec.clone(), exit });
        self.positions[id.slot()] = Some(Held { id, name, spec, settled: [0; LEGS_MAX] });
    }

    /// An entry of an earlier run is undone, as far as that could be done.
    pub(super) fn tell_taken_back(
        &mut self,
        now: Nanos,
        task: TaskId,
        held: [Qty; ENTRY_LEGS_MAX],
    ) {
        let name = self.tasks.get(usize::from(task.0)).map_or("reversal", Text::as_str);
        let text = match held.map(Qty::raw) {
            [0, 0] => {
                format!("{name}: the entry that was at work is undone, nothing is held of it")
            }
            [first, second] => format!(
                "{name}: the entry that was at work is undone but for {first} and {second} of its \
                 legs, in units of their last decimal, which no venue takes: nobody watches that"
            ),
        };
        self.note(Told::Alarm(now, text.into_boxed_str()));
    }

    /// An entry that has not ended holds what nobody looks after.
    pub(super) fn tell_entries(&mut self, now: Nanos) {
        if !self.gateway.answers() {
            return;
        }
        let left: ArrayVec<EntryView, ENTRIES_MAX> = self.executor.entries().collect();
        for EntryView { task, held, live } in left {
            let name = self.tasks.get(usize::from(task.0)).map_or("reversal", Text::as_str);
            let [first, second] = held.map(Qty::raw);
            let text = format!(
                "{name}: its entry has not ended: {first} and {second} of its legs are held, in \
                 units of their last decimal, and {live} orders may still trade: look at the \
                 venues before anything else is sent"
            );
            self.note(Told::Alarm(now, text.into_boxed_str()));
        }
    }
}
