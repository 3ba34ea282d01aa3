//! `[account.NAME.VENUE]`: where the keys of an account are found. Names of environment variables,
//! never the keys: nothing that is written here is ever repeated in a message.

use reap_core::instrument::VenueId;

use super::names::Lookup;
use super::position::Account;
use super::venue::Venue;
use super::walk::{Table, Value};

/// Environment variables with an account's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyNames {
    /// Of the key.
    pub key_env: String,
    /// Of the secret.
    pub secret_env: String,
}

/// The keys of an account at a venue.
pub(super) struct Keys {
    pub(super) account: Account,
    pub(super) names: KeyNames,
}

const NAME_MAX: usize = 64;
/// Shortest text without a word in it that may be a key.
const KEY_MIN: usize = 16;
const FORM: &str = "write [account.NAME.VENUE] with key_env and secret_env";

/// Everything under `[account]`; `None` after reporting what is wrong.
pub(super) fn keys(root: &Table<'_>, venues: &Lookup<Venue>) -> Option<Vec<Keys>> {
    let Some(value) = root.get("account") else { return Some(Vec::new()) };
    let mut all: Vec<Keys> = Vec::new();
    let mut fine = true;
    for (account, value) in value.table(FORM)?.named() {
        let Some(table) = value.table(FORM) else {
            fine = false;
            continue;
        };
        for (venue, value) in table.named() {
            match one(account, venue, &value, venues, &all) {
                Some(keys) => all.push(keys),
                None => fine = false,
            }
        }
    }
    fine.then_some(all)
}

fn one(
    account: &str,
    venue: &str,
    value: &Value<'_>,
    venues: &Lookup<Venue>,
    others: &[Keys],
) -> Option<Keys> {
    // A key right below the account is more often a forgotten venue than a venue's name.
    let table = value.table(FORM)?;
    let id = venues.index(venue);
    if id.is_none() {
        value.dangling("no venue has this name", venues.remedy(venue, "venue"));
    }
    let variable = |key, example: &str| {
        let remedy = format!("write {key} = the name of a variable, such as {example:?}");
        let value = table.require(key, &remedy)?;
        variable(&value).map(|name| (name, value))
    };
    let key = variable("key_env", "REAP_KEY");
    let secret = variable("secret_env", "REAP_SECRET");
    table.finish();
    let ((key, key_value), (secret, secret_value)) = (key?, secret?);
    if key == secret {
        secret_value.unseen("is the variable of the key too", "give the secret its own");
        return None;
    }
    for other in others {
        for (name, value) in [(&key, &key_value), (&secret, &secret_value)] {
            if *name == other.names.key_env || *name == other.names.secret_env {
                let what = format!("is a variable of account {} too", other.account.name);
                value.unseen(what, "give each account and venue its own variables");
                return None;
            }
        }
    }
    let venue = u8::try_from(id?).ok().map(VenueId)?;
    let account = Account { venue, name: account.into(), keys: None };
    Some(Keys { account, names: KeyNames { key_env: key, secret_env: secret } })
}

fn variable(value: &Value<'_>) -> Option<String> {
    let name = value.text("write the name of an environment variable")?;
    let what = if looks_like_a_key(name) {
        "looks like a key itself, not like the name of a variable"
    } else if !is_variable(name) {
        "is not the name of a variable: A to Z, 0 to 9 and _, at most 64"
    } else {
        return Some(name.to_owned());
    };
    let remedy = "write a name such as \"BINANCE_KEY\" and put the key into the environment; a key \
                  that stood in a file should be replaced at the venue";
    value.unseen(what, remedy);
    None
}

fn is_variable(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
    name.len() <= NAME_MAX
        && name.bytes().next().is_some_and(letter)
        && name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit())
}

/// Long, without a break, and with digits or small letters among the others.
fn looks_like_a_key(text: &str) -> bool {
    text.split('_').any(|part| {
        part.len() >= KEY_MIN
            && part.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_keys() {
        for (text, variable, key) in [
            ("BINANCE_KEY", true, false),
            ("_K2", true, false),
            ("BINANCEFUTURESACCOUNT", true, false),
            ("binance_key", false, false),
            ("2KEY", false, false),
            ("KEY-1", false, false),
            ("ABCD1234EFGH5678", true, true),
            ("vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A", false, true),
            ("KEY_5f3c2a1b9d8e7f60", false, true),
        ] {
            assert_eq!(is_variable(text), variable, "{text}");
            assert_eq!(looks_like_a_key(text), key, "{text}");
        }
    }
}
