//! Listen keys and the private streams that hang on them.

use std::collections::BTreeMap;

use reap_core::instrument::AccountId;
use reap_core::units::Nanos;
use serde_json::json;

use crate::sim::server::desk::{ConnId, Desk, Out};

struct Key {
    account: AccountId,
    expires: Nanos,
    streams: Vec<ConnId>,
}

/// Every account's key: one at a time.
#[derive(Default)]
pub(super) struct ListenKeys {
    keys: BTreeMap<String, Key>,
    made: u64,
}

impl ListenKeys {
    /// The account's key, made where there is none; valid from now.
    pub(super) fn start(&mut self, desk: &Desk, account: AccountId) -> String {
        let expires = desk.now().plus(desk.options.listen_key_life);
        if let Some((name, key)) = self.keys.iter_mut().find(|(_, key)| key.account == account) {
            key.expires = expires;
            return name.clone();
        }
        self.made += 1;
        // 64 characters, as real ones; the time tells two runs apart.
        let name = format!("simulated{:03}x{:019x}x{:031x}", account.0, self.made, desk.now().0);
        self.keys.insert(name.clone(), Key { account, expires, streams: Vec::new() });
        name
    }

    /// Prolongs the account's key; its name.
    pub(super) fn keep(&mut self, desk: &Desk, account: AccountId) -> Option<String> {
        let expires = desk.now().plus(desk.options.listen_key_life);
        let (name, key) = self.keys.iter_mut().find(|(_, key)| key.account == account)?;
        key.expires = expires;
        Some(name.clone())
    }

    /// Ends the account's key; its streams fall silent.
    pub(super) fn stop(&mut self, account: AccountId) -> bool {
        let before = self.keys.len();
        self.keys.retain(|_, key| key.account != account);
        self.keys.len() < before
    }

    /// A private stream is opened; whether its key is valid.
    pub(super) fn attach(&mut self, name: &str, conn: ConnId) -> bool {
        let Some(key) = self.keys.get_mut(name) else { return false };
        key.streams.push(conn);
        true
    }

    pub(super) fn detach(&mut self, conn: ConnId) {
        for key in self.keys.values_mut() {
            key.streams.retain(|one| *one != conn);
        }
    }

    /// Sends an event to every stream of an account.
    pub(super) fn publish(&self, desk: &mut Desk, account: AccountId, event: &str) {
        for key in self.keys.values().filter(|key| key.account == account) {
            for conn in &key.streams {
                desk.send(*conn, Out::Text(event.to_owned()));
            }
        }
    }

    /// Ends the keys that nobody kept alive. Their streams hear it and then nothing any more.
    pub(super) fn expire(&mut self, desk: &mut Desk) {
        let now = desk.now();
        for (name, key) in self.keys.iter().filter(|(_, key)| key.expires <= now) {
            let event = json!({"e": "listenKeyExpired", "E": desk.now_ms(), "listenKey": name});
            for conn in &key.streams {
                desk.send(*conn, Out::Text(event.to_string()));
            }
        }
        self.keys.retain(|_, key| key.expires > now);
    }

    pub(super) fn next_expiry(&self) -> Option<Nanos> {
        self.keys.values().map(|key| key.expires).min()
    }
}
