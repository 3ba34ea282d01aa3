//! Which thread runs where: chosen from the processors that the process may use, and printed.

use std::fmt;

/// How the hot agents are spread over threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Feed, engine and execution on a thread each.
    Split,
    /// Feed and engine in one loop, without a ring between them; execution apart.
    Fused,
    /// Feed and engine in one loop that yields after every empty round; execution parks.
    Single,
}

impl Shape {
    /// The name that configuration and reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Split => "split",
            Self::Fused => "fused",
            Self::Single => "single",
        }
    }
}

/// What a thread does when there was nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    /// Looks again at once.
    Spin,
    /// Lets others run first.
    Yield,
    /// Sleeps in the kernel until a socket, another thread or a time wakes it.
    Park,
}

impl Idle {
    /// The name that configuration and reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spin => "spin",
            Self::Yield => "yield",
            Self::Park => "park",
        }
    }
}

/// One thread's place: the operating system's number of the processor, if it is pinned, and how it
/// idles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The processor; `None` is wherever the system puts it.
    pub cpu: Option<usize>,
    /// How it idles.
    pub idle: Idle,
}

/// What a configuration asks for; what it leaves out is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayoutWish {
    /// The shape.
    pub shape: Option<Shape>,
    /// Processor of the feed; of feed and engine together unless the shape is split.
    pub feed: Option<usize>,
    /// Processor of the engine in a split layout.
    pub engine: Option<usize>,
    /// Processor of execution.
    pub execution: Option<usize>,
    /// How execution idles.
    pub execution_idle: Option<Idle>,
}

/// Where every thread runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The shape.
    pub shape: Shape,
    /// The feed; feed and engine together unless the shape is split.
    pub feed: Place,
    /// The engine, when it has a thread of its own.
    pub engine: Option<Place>,
    /// Execution.
    pub execution: Place,
    /// Processors that the process may use.
    pub allowed: Vec<usize>,
}

/// Why no layout could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// A processor that the process may not use.
    #[error(
        "run.cores.{thread} = {cpu}: this process may only use {allowed}; choose among those, or \
         widen the set (taskset, cpuset, the container's cpus)"
    )]
    NotAllowed {
        /// The thread.
        thread: &'static str,
        /// The processor asked for.
        cpu: usize,
        /// What may be used, as a list.
        allowed: String,
    },
    /// Two spinning threads on one processor.
    #[error(
        "run.cores: {first} and {second} would both spin on processor {cpu}; give each its own, or \
         set execution = \"park\""
    )]
    Shared {
        /// One thread.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// The processor.
        cpu: usize,
    },
    /// More spinning threads than the processors leave.
    #[error(
        "run.layout = {shape:?} wants {spinning} spinning threads, and {allowed} processors allow \
         {most}: one is left to everything else; take layout = \"auto\" or execution = \"park\""
    )]
    TooManySpinners {
        /// The shape.
        shape: &'static str,
        /// Threads that would spin.
        spinning: usize,
        /// Threads that may.
        most: usize,
        /// Processors.
        allowed: usize,
    },
}

impl Layout {
    /// Chooses a layout for the processors `allowed` (operating system numbers, ascending).
    ///
    /// From four processors on, feed, engine and execution spin on one each, the last three: the
    /// first takes the interrupts on most machines and stays with everything else. With two or
    /// three, feed and engine share a loop on the last one and execution parks. With one, everything
    /// yields.
    ///
    /// # Errors
    /// When what is asked for cannot be had: see [`LayoutError`].
    pub fn choose(allowed: &[usize], wish: &LayoutWish) -> Result<Self, LayoutError> {
        let named = [("feed", wish.feed), ("engine", wish.engine), ("execution", wish.execution)];
        for (thread, cpu) in named {
            if let Some(cpu) = cpu.filter(|cpu| !allowed.contains(cpu)) {
                return Err(LayoutError::NotAllowed { thread, cpu, allowed: list(allowed) });
            }
        }
        let shape = wish.shape.unwrap_or(match allowed.len() {
            0 | 1 => Shape::Single,
            2 | 3 => Shape::Fused,
            _ => Shape::Split,
        });
        let mut free: Vec<usize> = allowed
            .iter()
            .copied()
            .filter(|cpu| !named.iter().any(|(_, n)| *n == Some(*cpu)))
            .collect();
        let mut take = |wished: Option<usize>, spins: bool| {
            wished.or_else(|| if spins { free.pop() } else { None })
        };
        let layout = match shape {
            Shape::Split => {
                let execution = wish.execution_idle.unwrap_or(Idle::Spin);
                // The last three in their natural order: taken from the end.
                let execution =
                    Place { cpu: take(wish.execution, execution == Idle::Spin), idle: execution };
                let engine = Place { cpu: take(wish.engine, true), idle: Idle::Spin };
                let feed = Place { cpu: take(wish.feed, true), idle: Idle::Spin };
                Self { shape, feed, engine: Some(engine), execution, allowed: allowed.to_vec() }
            }
            Shape::Fused => {
                let execution = wish.execution_idle.unwrap_or(Idle::Park);
                let feed = Place { cpu: take(wish.feed.or(wish.engine), true), idle: Idle::Spin };
                let execution =
                    Place { cpu: take(wish.execution, execution == Idle::Spin), idle: execution };
                Self { shape, feed, engine: None, execution, allowed: allowed.to_vec() }
            }
            Shape::Single => {
                let feed = Place { cpu: wish.feed.or(wish.engine), idle: Idle::Yield };
                let idle = wish.execution_idle.unwrap_or(Idle::Park);
                let execution = Place { cpu: wish.execution, idle };
                Self { shape, feed, engine: None, execution, allowed: allowed.to_vec() }
            }
        };
        layout.check()?;
        Ok(layout)
    }

    /// The hot threads, by name.
    pub fn threads(&self) -> impl Iterator<Item = (&'static str, Place)> {
        let feed = if self.engine.is_some() { "feed" } else { "feed + engine" };
        let threads = [Some((feed, self.feed)), self.engine.map(|place| ("engine", place))];
        threads.into_iter().flatten().chain([("execution", self.execution)])
    }

    fn check(&self) -> Result<(), LayoutError> {
        let spinning: Vec<_> =
            self.threads().filter(|(_, place)| place.idle == Idle::Spin).collect();
        for (at, (second, place)) in spinning.iter().enumerate() {
            let shared =
                spinning[..at].iter().find(|(_, one)| one.cpu.is_some() && one.cpu == place.cpu);
            if let (Some((first, _)), Some(cpu)) = (shared, place.cpu) {
                return Err(LayoutError::Shared { first, second, cpu });
            }
        }
        let most = self.allowed.len().saturating_sub(1);
        if spinning.len() > most {
            return Err(LayoutError::TooManySpinners {
                shape: self.shape.name(),
                spinning: spinning.len(),
                most,
                allowed: self.allowed.len(),
            });
        }
        Ok(())
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "layout {}: ", self.shape.name())?;
        for (at, (name, place)) in self.threads().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            let idle = place.idle.name();
            match place.cpu {
                Some(cpu) => write!(f, "{comma}{name} {idle}s on cpu {cpu}")?,
                None => write!(f, "{comma}{name} {idle}s, unpinned")?,
            }
        }
        write!(f, "; the process may use cpu {}", list(&self.allowed))
    }
}

fn list(cpus: &[usize]) -> String {
    cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// The processors that the calling thread may use: operating system numbers, ascending.
#[must_use]
pub fn allowed() -> Vec<usize> {
    let mut cpus: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect();
    cpus.sort_unstable();
    cpus
}

/// Pins the calling thread and reads back what the system made of it.
///
/// # Errors
/// What the thread may run on instead.
pub fn pin(cpu: usize) -> Result<(), String> {
    // Beyond the system's set the crate would end the process.
    if cpu < rustix::thread::CpuSet::MAX_CPU {
        core_affinity::set_for_current(core_affinity::CoreId { id: cpu });
    }
    let got = allowed();
    if got == [cpu] {
        return Ok(());
    }
    Err(format!("cannot run on cpu {cpu} alone: the system leaves it on {}", list(&got)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(allowed: &[usize], wish: LayoutWish) -> String {
        match Layout::choose(allowed, &wish) {
            Ok(layout) => layout.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_layout_follows_from_the_processors() {
        for (allowed, expected) in [
            (
                &[5][..],
                "layout single: feed + engine yields, unpinned, execution parks, unpinned; the process may use cpu 5",
            ),
            (
                &[0, 1],
                "layout fused: feed + engine spins on cpu 1, execution parks, unpinned; the process may use cpu 0, 1",
            ),
            (
                &[2, 5, 9],
                "layout fused: feed + engine spins on cpu 9, execution parks, unpinned; the process may use cpu 2, 5, 9",
            ),
            (
                &[0, 1, 2, 3],
                "layout split: feed spins on cpu 1, engine spins on cpu 2, execution spins on cpu 3; the process may use cpu 0, 1, 2, 3",
            ),
        ] {
            assert_eq!(chosen(allowed, LayoutWish::default()), expected);
        }
    }

    #[test]
    fn what_is_wished_for_is_kept_or_refused_by_name() {
        let wish = LayoutWish {
            shape: Some(Shape::Split),
            feed: Some(8),
            engine: Some(4),
            execution: Some(6),
            execution_idle: None,
        };
        assert_eq!(
            chosen(&[2, 4, 6, 8], wish),
            "layout split: feed spins on cpu 8, engine spins on cpu 4, execution spins on cpu 6; the process may use cpu 2, 4, 6, 8"
        );
        let refused = [
            (
                LayoutWish { feed: Some(7), ..LayoutWish::default() },
                "run.cores.feed = 7: this process may only use 0, 1",
            ),
            (
                LayoutWish { shape: Some(Shape::Split), ..LayoutWish::default() },
                "wants 3 spinning threads, and 2 processors allow 1",
            ),
            (
                LayoutWish {
                    feed: Some(1),
                    execution: Some(1),
                    execution_idle: Some(Idle::Spin),
                    ..LayoutWish::default()
                },
                "feed + engine and execution would both spin on processor 1",
            ),
            (
                LayoutWish { execution_idle: Some(Idle::Spin), ..LayoutWish::default() },
                "wants 2 spinning threads",
            ),
        ];
        for (wish, why) in refused {
            let said = chosen(&[0, 1], wish);
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_pin_is_read_back() {
        std::thread::spawn(|| {
            let cpu = *allowed().last().expect("a thread runs somewhere");
            assert_eq!(pin(cpu), Ok(()));
            assert_eq!(allowed(), [cpu]);
            let error = pin(4_000).expect_err("there is no such processor");
            assert!(error.contains("cannot run on cpu 4000"), "{error}");
        })
        .join()
        .expect("the pinned thread ends");
    }
}
