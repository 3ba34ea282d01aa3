//! A task's cycles: what its position's exits bring, its end, and what the operator says to it.

use super::{TaskSpec, TaskState};
use crate::engine::Engine;
use crate::entry::TaskId;
use crate::event::TaskCommand;
use crate::note::{EngineNote, TaskNote};
use crate::position::{PositionId, PositionState};
use crate::units::Decimal;

impl Engine {
    /// The operator says so. What is too small to be sold stays as it is, and keeps nothing up.
    pub(crate) fn on_task_command(&mut self, id: TaskId, what: TaskCommand) {
        let Some(task) = self.tasks.all.get(usize::from(id.0)) else {
            self.stray("a command for a task that is not there", None);
            return;
        };
        let dust = |id| self.state(id) == Some(PositionState::DustResidual);
        if let Some(position) = task.position.filter(|&id| dust(id)) {
            self.end_cycle(usize::from(id.0), position.slot() as u32);
        }
        let task = &mut self.tasks.all[usize::from(id.0)];
        if task.state == TaskState::Failed {
            task.wish = None;
        }
        let busy = task.state == TaskState::Entering || task.position.is_some();
        match what {
            TaskCommand::Pause if busy => task.wish = Some(TaskState::Paused),
            TaskCommand::Stop if busy => task.wish = Some(TaskState::Done),
            TaskCommand::Start | TaskCommand::Resume if busy => task.wish = None,
            TaskCommand::Pause => task.state = TaskState::Paused,
            TaskCommand::Stop => task.state = TaskState::Done,
            TaskCommand::Start | TaskCommand::Resume => {
                (task.state, task.losing) = (TaskState::Idle, 0);
            }
        }
    }

    /// An exit's fill of a task's position: `gain` is its trading result less its fee, at the
    /// position's nano scale.
    pub(crate) fn task_fill(&mut self, slot: u32, notional: i128, gain: i128) {
        if let Some(at) = self.task_of(slot) {
            let task = &mut self.tasks.all[at];
            task.volume = task.volume.saturating_add(notional);
            task.traded = task.traded.saturating_add(gain);
        }
    }

    /// A task's position is closed on evidence: a cycle has ended.
    pub(crate) fn task_closed(&mut self, slot: u32) {
        let Some(at) = self.task_of(slot) else { return };
        self.end_cycle(at, slot);
        self.rest_task(TaskId(at as u16), TaskState::Idle);
    }

    /// A task is done with its position: what is left of it counts at its entry price.
    fn end_cycle(&mut self, at: usize, slot: u32) {
        let paid: i128 =
            self.positions[slot as usize].legs().iter().map(|leg| leg.paid - leg.funding).sum();
        let task = &mut self.tasks.all[at];
        let net = task.traded.saturating_sub(paid);
        task.net = task.net.saturating_add(net);
        task.cycles += 1;
        task.losing = if net < 0 { task.losing + 1 } else { 0 };
        task.position = None;
        task.not_before = self.now.plus(task.spec.cooldown);
        let id = TaskId(at as u16);
        let net = Decimal { mantissa: net, scale: task.scale };
        self.notes.push(EngineNote::Task { task: id, what: TaskNote::Cycle { net } });
    }

    /// A task has nothing at work: it waits, or its wish or its limits have their way.
    pub(crate) fn rest_task(&mut self, id: TaskId, state: TaskState) {
        let task = &mut self.tasks.all[usize::from(id.0)];
        let TaskSpec { losing_max, cycles_max, .. } = task.spec;
        task.state = match (state, task.wish) {
            (TaskState::Failed, _) => TaskState::Failed,
            (_, Some(wish)) => {
                task.wish = None;
                wish
            }
            _ if cycles_max > 0 && task.cycles >= cycles_max => TaskState::Done,
            _ if losing_max > 0 && task.losing >= losing_max => TaskState::Paused,
            (state, None) => state,
        };
        if task.state != TaskState::Idle {
            let what = TaskNote::State { state: task.state };
            self.notes.push(EngineNote::Task { task: id, what });
        }
    }

    pub(crate) fn task_of(&self, slot: u32) -> Option<usize> {
        if self.tasks.all.is_empty() {
            return None;
        }
        let id = PositionId::new(slot, self.positions[slot as usize].generation);
        self.tasks.all.iter().position(|task| task.position == Some(id))
    }

    pub(crate) fn has_tasks(&self) -> bool {
        !self.tasks.all.is_empty()
    }
}
