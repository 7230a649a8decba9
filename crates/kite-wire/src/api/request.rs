//! A request before anybody sends it.

use std::fmt;

use serde::Serialize;

use super::form::{Value, encode_form, encode_segment};

/// The four methods Kite uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads.
    Get,
    /// Makes, or computes.
    Post,
    /// Changes.
    Put,
    /// Removes.
    Delete,
}

/// Whose rate limit a call counts against (protocol section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequestClass {
    /// `/quote`, `/quote/ohlc` and `/quote/ltp` together.
    Quote,
    /// Historical candles.
    Historical,
    /// Places an order: counts for the second, the minute and the day.
    PlaceOrder,
    /// Changes an order: counts for the second and against the modifications of that order.
    ModifyOrder,
    /// Cancels an order: counts for the second.
    CancelOrder,
    /// Everything else.
    Other,
}

/// What a request carries beneath its head.
#[derive(Clone, PartialEq, Eq)]
pub enum RequestBody {
    /// Nothing.
    Empty,
    /// Fields, url-encoded.
    Form(Vec<(&'static str, String)>),
    /// JSON text.
    Json(String),
}

/// A request as it goes over the wire: everything but the address of the server and who asks.
///
/// Its `Debug` shows names but no values, because some of them are secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiRequest {
    /// How.
    pub method: Method,
    /// Where, percent-encoded and without a query.
    pub path: String,
    /// Pairs of the query, not yet encoded; names may repeat.
    pub query: Vec<(&'static str, String)>,
    /// The body.
    pub body: RequestBody,
    /// Whose rate limit it counts against.
    pub class: RequestClass,
    /// Whether nothing at Kite changes by it, so that asking twice does no harm. True for `GET` and for the margin and
    /// charge calculators, which are `POST` only because their orders do not fit in a query.
    pub is_read: bool,
    /// Whether it needs the `Authorization` header; the two calls that earn a token do not.
    pub needs_login: bool,
}

// === impl Method ===

impl Method {
    /// The word in the request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

// === impl RequestClass ===

impl RequestClass {
    /// Every class.
    pub const ALL: [Self; 6] =
        [Self::Quote, Self::Historical, Self::PlaceOrder, Self::ModifyOrder, Self::CancelOrder, Self::Other];

    /// A word for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quote => "quote",
            Self::Historical => "historical",
            Self::PlaceOrder => "place_order",
            Self::ModifyOrder => "modify_order",
            Self::CancelOrder => "cancel_order",
            Self::Other => "other",
        }
    }

    /// Whether it is one of the three order calls, which only registered addresses may make (section 4.4).
    pub const fn is_order(self) -> bool {
        matches!(self, Self::PlaceOrder | Self::ModifyOrder | Self::CancelOrder)
    }
}

// === impl RequestBody ===

impl RequestBody {
    /// The `Content-Type`; `None` without a body.
    pub const fn content_type(&self) -> Option<&'static str> {
        match self {
            Self::Empty => None,
            Self::Form(_) => Some("application/x-www-form-urlencoded"),
            Self::Json(_) => Some("application/json"),
        }
    }

    /// The text that is sent.
    pub fn encode(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Form(fields) => encode_form(pairs(fields)),
            Self::Json(json) => json.clone(),
        }
    }
}

// === impl ApiRequest ===

impl ApiRequest {
    pub(super) fn get<'a>(segments: impl IntoIterator<Item = &'a str>) -> Self {
        Self { is_read: true, ..Self::new(Method::Get, segments) }
    }

    pub(super) fn post<'a>(segments: impl IntoIterator<Item = &'a str>) -> Self {
        Self { body: RequestBody::Form(Vec::new()), ..Self::new(Method::Post, segments) }
    }

    pub(super) fn put<'a>(segments: impl IntoIterator<Item = &'a str>) -> Self {
        Self { body: RequestBody::Form(Vec::new()), ..Self::new(Method::Put, segments) }
    }

    pub(super) fn delete<'a>(segments: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(Method::Delete, segments)
    }

    /// A literal such as `orders` or `quote/ltp` comes as it is; slashes in a given value do not survive, because every
    /// segment after the first is a value.
    fn new<'a>(method: Method, segments: impl IntoIterator<Item = &'a str>) -> Self {
        let mut path = String::new();
        for (at, segment) in segments.into_iter().enumerate() {
            path.push('/');
            if at == 0 {
                path.push_str(segment);
            } else {
                encode_segment(segment, &mut path);
            }
        }
        Self {
            method,
            path,
            query: Vec::new(),
            body: RequestBody::Empty,
            class: RequestClass::Other,
            is_read: false,
            needs_login: true,
        }
    }

    pub(super) fn class(mut self, class: RequestClass) -> Self {
        self.class = class;
        self
    }

    /// Adds a pair to the query.
    pub(super) fn ask(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.query.push((name, value.into().into_owned()));
        self
    }

    pub(super) fn ask_if(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.ask(name, value),
            None => self,
        }
    }

    /// Adds a field to the form.
    pub(super) fn field(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        if let RequestBody::Form(fields) = &mut self.body {
            fields.push((name, value.into().into_owned()));
        }
        self
    }

    pub(super) fn field_if(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    /// A field whose value is JSON text.
    pub(super) fn json_field(self, name: &'static str, value: &impl Serialize) -> Self {
        self.field(name, json(value))
    }

    /// A body of JSON that only asks for a calculation.
    pub(super) fn calculation(mut self, value: &impl Serialize) -> Self {
        self.body = RequestBody::Json(json(value));
        self.is_read = true;
        self
    }

    /// Path and query, encoded, as they stand in the request line.
    pub fn target(&self) -> String {
        match self.query.as_slice() {
            [] => self.path.clone(),
            query => format!("{}?{}", self.path, encode_form(pairs(query))),
        }
    }

    /// Why it must not be sent: an identifier in its path that is empty or made of dots would reach another route. `None`
    /// when it may be.
    pub fn problem(&self) -> Option<&'static str> {
        let mut segments = self.path.split('/').skip(1);
        segments
            .any(|segment| matches!(segment, "" | "." | ".."))
            .then_some("an identifier in its path is empty or consists of dots")
    }
}

fn pairs<'a>(list: &'a [(&'static str, String)]) -> impl Iterator<Item = (&'a str, &'a str)> {
    list.iter().map(|(name, value)| (*name, value.as_str()))
}

/// The shapes written here are structs, lists and maps with text keys, which always serialise.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

impl fmt::Debug for ApiRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |list: &[(&'static str, String)]| list.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        let mut shown = f.debug_struct("ApiRequest");
        shown.field("method", &self.method).field("path", &self.path).field("query", &names(&self.query));
        match &self.body {
            RequestBody::Empty => &mut shown,
            RequestBody::Form(fields) => shown.field("form", &names(fields)),
            RequestBody::Json(json) => shown.field("json_bytes", &json.len()),
        };
        shown.field("class", &self.class).finish_non_exhaustive()
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes of {}", self.encode().len(), self.content_type().unwrap_or("nothing"))
    }
}
