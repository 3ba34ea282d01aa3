//! A request to Binance, by REST or by WS-API: its parameters, who signed it, and how it is refused.

use std::collections::BTreeMap;

use reap_core::instrument::AccountId;
use reap_core::order::OrderSide;
use serde_json::Value;

use crate::sim::server::desk::Desk;
use crate::sim::server::http::{self, Request};
use crate::sim::server::sign;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) code: i64,
    pub(super) text: String,
}

impl ApiError {
    pub(super) fn new(code: i64, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    pub(super) fn missing(name: &str) -> Self {
        Self::new(
            -1102,
            format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed."),
        )
    }

    pub(super) fn invalid(name: &str) -> Self {
        Self::new(-1130, format!("Data sent for parameter '{name}' is not valid."))
    }

    pub(super) fn small() -> Self {
        Self::new(
            -4164,
            "Order's notional must be no smaller than the minimum (unless you choose reduce only).",
        )
    }

    /// The HTTP status.
    pub(super) const fn status(&self) -> u16 {
        match self.code {
            -2014 | -2015 => 401,
            -5000 => 404,
            _ => 400,
        }
    }
}

/// What a call comes to.
pub(super) enum Outcome {
    Now(Result<Value, ApiError>),
    /// The matching core answers.
    Later,
}

/// A request, however it came.
#[derive(Debug, Default)]
pub(super) struct Call {
    pub(super) params: BTreeMap<String, String>,
    /// Parameters that came as true or false instead of text.
    pub(super) booleans: Vec<String>,
    key: Option<String>,
    /// What must be signed.
    payload: String,
    signature: Option<String>,
}

impl Call {
    /// From a REST request: query and body are one, the signature is its last parameter.
    pub(super) fn from_rest(request: &Request) -> Self {
        let whole = format!("{}{}", request.query, request.body);
        let (payload, signature) = match whole.rsplit_once("signature=") {
            Some((payload, signature)) if payload.is_empty() || payload.ends_with('&') => {
                (payload.trim_end_matches('&').to_owned(), Some(signature.to_owned()))
            }
            _ => (whole, None),
        };
        let params = http::pairs(&request.query).chain(http::pairs(&request.body));
        Self {
            params: params.filter(|(name, _)| name != "signature").collect(),
            booleans: Vec::new(),
            key: request.header("x-mbx-apikey").map(str::to_owned),
            payload,
            signature,
        }
    }

    /// From the parameters of a WS-API request: what is signed is sorted by name.
    pub(super) fn from_params(params: &Value) -> Self {
        let mut call = Self::default();
        for (name, value) in params.as_object().into_iter().flatten() {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Bool(value) => {
                    call.booleans.push(name.clone());
                    value.to_string()
                }
                other => other.to_string(),
            };
            if name == "signature" {
                call.signature = Some(text);
            } else {
                call.params.insert(name.clone(), text);
            }
        }
        call.key = call.params.get("apiKey").cloned();
        let pairs = call.params.iter().map(|(name, value)| format!("{name}={value}"));
        call.payload = pairs.collect::<Vec<_>>().join("&");
        call
    }

    /// A parameter; an empty one is none.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn must(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name).ok_or_else(|| ApiError::missing(name))
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, ApiError> {
        let parse = |text: &str| text.parse().map_err(|_| ApiError::invalid(name));
        self.get(name).map(parse).transpose()
    }

    /// The account of the API key.
    pub(super) fn keyed(&self, desk: &Desk) -> Result<AccountId, ApiError> {
        let key = self.key.as_deref().filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| ApiError::new(-2014, "API-key format invalid."))?;
        let account = desk.by_key(key).ok_or_else(|| {
            ApiError::new(-2015, "Invalid API-key, IP, or permissions for action.")
        })?;
        Ok(account.id)
    }

    /// The account that signed this request, in time.
    pub(super) fn signed(&self, desk: &Desk) -> Result<AccountId, ApiError> {
        let account = self.keyed(desk)?;
        let signature = self.signature.as_deref().ok_or_else(|| ApiError::missing("signature"))?;
        let timestamp: u64 =
            self.must("timestamp")?.parse().map_err(|_| ApiError::invalid("timestamp"))?;
        let window = match self.get("recvWindow") {
            None => 5_000.0,
            Some(text) => text.parse::<f64>().map_err(|_| ApiError::invalid("recvWindow"))?,
        };
        if !(0.0..=60_000.0).contains(&window) {
            return Err(ApiError::new(-1131, "recvWindow must be less than 60000."));
        }
        let now = desk.now_ms();
        if timestamp >= now.saturating_add(desk.options.window(1_000)) {
            let text = "Timestamp for this request was 1000ms ahead of the server's time.";
            return Err(ApiError::new(-1021, text));
        }
        if now.saturating_sub(timestamp) as f64 > window * f64::from(desk.options.rate.max(1)) {
            let text = "Timestamp for this request is outside of the recvWindow.";
            return Err(ApiError::new(-1021, text));
        }
        let known = desk.accounts.iter().find(|one| one.id == account);
        let is_valid = known.is_some_and(|known| {
            sign::is_valid(&known.keys.secret, self.payload.as_bytes(), signature)
        });
        if is_valid {
            Ok(account)
        } else {
            Err(ApiError::new(-1022, "Signature for this request is not valid."))
        }
    }

    /// The instrument that `symbol` names.
    pub(super) fn symbol(&self, desk: &Desk) -> Result<usize, ApiError> {
        let symbol = self.must("symbol")?;
        desk.by_symbol(symbol).ok_or_else(|| ApiError::new(-1121, "Invalid symbol."))
    }
}

/// A side as Binance writes it.
pub(super) const fn side(side: OrderSide) -> &'static str {
    match side {
        OrderSide::Buy => "BUY",
        OrderSide::Sell => "SELL",
    }
}
