//! Market data of venues: bytes in, ticks out.
pub mod decimal;
#[cfg(test)]
mod test_random;
