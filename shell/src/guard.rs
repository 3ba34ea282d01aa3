//! Keys of venues live in this process's memory: nobody gets a copy of it.

use rustix::io;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, dumpable_behavior, set_dumpable_behavior, setrlimit,
};

/// No core file is written of this process, and no other process of this user may read its memory.
/// A profiler that attaches needs the rights of the superuser from then on.
///
/// # Errors
/// When the system refuses, or does not do as it was told.
pub fn keep_memory_private() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    match dumpable_behavior()? {
        DumpableBehavior::NotDumpable => Ok(()),
        _ => Err(io::Errno::PERM),
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::getrlimit;

    use super::*;

    #[test]
    fn p18_a_crash_leaves_no_copy_of_the_keys() {
        keep_memory_private().expect("a process may always give these up");
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
    }
}
