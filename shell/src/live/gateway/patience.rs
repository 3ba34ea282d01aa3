//! How long a venue is left alone that was asked too often.

use reap_core::units::Nanos;

/// After too many requests, when the venue does not say how long.
const LIMITED: Nanos = Nanos::from_secs(1);
/// After a ban, when the venue does not say how long: the shortest there is.
const BANNED: Nanos = Nanos::from_secs(120);

/// For how long a venue wants to be left alone, by an answer of this status (429: too many requests;
/// 418: banned for it). Without a word of the time it is what venues' documents say.
pub(super) fn patience(status: u16, retry_after: Option<Nanos>) -> Option<Nanos> {
    let unsaid = match status {
        429 => LIMITED,
        418 => BANNED,
        _ => return None,
    };
    Some(retry_after.unwrap_or(unsaid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x13_a_venue_that_was_asked_too_often_says_how_long_it_is_left_alone() {
        let said = Some(Nanos::from_secs(7));
        for (status, retry_after, wait) in [
            (429, said, said),
            (418, said, said),
            (429, None, Some(LIMITED)),
            (418, None, Some(BANNED)),
            (200, said, None),
            (503, said, None),
        ] {
            assert_eq!(patience(status, retry_after), wait, "{status}");
        }
    }
}
