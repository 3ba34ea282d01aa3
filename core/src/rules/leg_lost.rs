//! `leg_lost`: a leg shrank or vanished by no order of ours, as so many reads agree.
//!
//! Its one trigger compares no price: `hedge` raises it when a read comes.

use crate::position::RegisterError;

/// Reads that may be asked for at most.
const READS_MAX: u8 = 100;

pub(crate) fn check(rule: usize, reads: u8) -> Result<(), RegisterError> {
    if (1..=READS_MAX).contains(&reads) {
        return Ok(());
    }
    let (field, bound) = ("reads that agree", "from 1 to 100");
    Err(RegisterError::Rule { rule, field, value: i128::from(reads), bound })
}
