//! `/openapi.json`, written from the route table.

use axum::Json;
use serde_json::{Map, Value, json};

use crate::routes::{ROUTES, Route};

pub(crate) async fn document() -> Json<Value> {
    Json(build())
}

fn build() -> Value {
    let described = ROUTES.iter().filter(|route| is_public(route));
    let paths: Map<String, Value> =
        described.map(|route| (route.path.to_owned(), operations(route))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "kite-gateway",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Live market data with Greeks. Success is {\"status\":\"success\",\"data\":...}, failure \
                            {\"status\":\"error\",\"error_type\":...,\"message\":...}. Prices are in rupees; iv is a \
                            fraction; delta and gamma are per 1.00 of the forward, vega and rho per one point (0.01), \
                            theta per calendar day; ts fields are nanoseconds since 1970 UTC.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "api_key": { "type": "apiKey", "in": "header", "name": "x-api-key" },
            },
            "schemas": {
                "Error": {
                    "type": "object",
                    "required": ["status", "error_type", "message"],
                    "properties": {
                        "status": { "const": "error" },
                        "error_type": {
                            "enum": ["InputException", "DataException", "TokenException", "PermissionException", "NetworkException", "GeneralException"],
                        },
                        "message": { "type": "string" },
                    },
                },
            },
        },
    })
}

fn is_public(route: &Route) -> bool {
    route.methods.iter().any(|(_, summary)| !summary.is_empty())
}

fn operations(route: &Route) -> Value {
    let operations = route.methods.iter();
    let operations =
        operations.map(|&(method, summary)| (method.to_owned(), operation(route, method, summary)));
    Value::Object(operations.collect())
}

fn operation(route: &Route, method: &str, summary: &str) -> Value {
    let parameters: Vec<Value> = parameters(route.path).into_iter().map(Parameter::into_value).collect();
    let failure = |description: &str| {
        let schema = json!({ "schema": { "$ref": "#/components/schemas/Error" } });
        json!({ "description": description, "content": { "application/json": schema } })
    };
    let mut responses = Map::new();
    let (code, description) = match route.path {
        "/v1/stream" => ("101", "The protocol switches to WebSocket."),
        _ => ("200", "The answer."),
    };
    responses.insert(code.to_owned(), json!({ "description": description }));
    if !parameters.is_empty() {
        responses.insert("400".to_owned(), failure("The request cannot be understood."));
    }
    if route.path.contains('{') {
        responses.insert("404".to_owned(), failure("It does not exist, or has no data yet."));
    }
    if route.path == "/readyz" {
        responses.insert("503".to_owned(), json!({ "description": "Not ready; `missing` says why." }));
    }
    if route.path.starts_with("/v1/") {
        responses.insert("503".to_owned(), failure("What it needs does not answer; the message says what."));
    }
    let mut operation = json!({ "summary": summary, "parameters": parameters });
    if let Some(schema) = body(method, route.path) {
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    if route.protected {
        responses.insert("403".to_owned(), failure("The API key is missing or wrong."));
        operation["security"] = json!([{ "api_key": [] }]);
    }
    operation["responses"] = Value::Object(responses);
    operation
}

/// What a command is sent with.
fn body(method: &str, path: &str) -> Option<Value> {
    let object = |properties: Value, required: &[&str]| json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required });
    let text = || json!({ "type": "string" });
    match (method, path) {
        ("post", "/v1/accounts") => {
            let properties = json!({
                "name": text(), "api_key": text(), "api_secret": text(), "password": text(), "totp_seed": text(),
                "automatic_login": { "type": "boolean" }, "registered_addresses": { "type": "array", "items": text() },
                "user_id": text(), "rest_url": text(),
                "ticker_url": text(), "weight": { "type": "integer", "minimum": 0 }, "simulated": { "type": "boolean" },
            });
            Some(object(properties, &["name", "api_key"]))
        }
        ("post", "/v1/subscriptions") | ("put", "/v1/subscriptions/{id}") => {
            let properties = json!({
                "wish": text(), "owner": text(), "account": text(), "priority": { "type": "integer" },
            });
            Some(object(properties, &["wish"]))
        }
        (_, "/v1/accounts/{account}/access_token") => {
            Some(object(json!({ "access_token": { "type": "string" } }), &["access_token"]))
        }
        (_, "/v1/accounts/{account}/reconnect") => {
            Some(object(json!({ "connection": { "type": "integer", "minimum": 0, "maximum": 255 } }), &[]))
        }
        _ => None,
    }
}

struct Parameter {
    name: &'static str,
    place: &'static str,
    description: &'static str,
}

impl Parameter {
    fn into_value(self) -> Value {
        json!({
            "name": self.name,
            "in": self.place,
            "required": self.place == "path",
            "description": self.description,
            "schema": { "type": if matches!(self.name, "around" | "limit" | "version") { "integer" } else { "string" } },
        })
    }
}

fn parameters(path: &str) -> Vec<Parameter> {
    let path_parameter = |name, description| Parameter { name, place: "path", description };
    let query = |name, description| Parameter { name, place: "query", description };
    let policy =
        || query("policy", "When reading too slowly: conflate (default), drop_oldest or disconnect.");
    let key = || query("api_key", "The API key, for clients that cannot send headers.");
    match path {
        "/v1/chain/{underlying}" => vec![
            path_parameter("underlying", "The name derivatives carry, such as NIFTY."),
            query("expiry", "YYYY-MM-DD, or nearest (default)."),
            query("around", "This many strikes on each side of the one at the money; all when absent."),
        ],
        "/v1/ticks/{symbol}" => {
            vec![path_parameter("symbol", "An instrument token, or EXCHANGE:TRADINGSYMBOL.")]
        }
        "/v1/underlyings/{underlying}/strikes" => vec![
            path_parameter("underlying", "The name derivatives carry, such as NIFTY."),
            query("expiry", "YYYY-MM-DD; the nearest one when absent."),
            query("around", "This many strikes on each side of the one at the money; all when absent."),
        ],
        "/v1/instruments" => vec![
            query("search", "Parts of a symbol or a name, separated by blanks."),
            query("limit", "At most this many, 20 when absent."),
        ],
        "/v1/instruments/{symbol}" => vec![
            path_parameter("symbol", "An instrument token, or EXCHANGE:TRADINGSYMBOL."),
            query("as_of", "YYYY-MM-DD; today when absent."),
        ],
        "/v1/subscriptions/{id}" => vec![
            path_parameter("id", "The wish's number."),
            query("version", "The version seen; needed to change a wish."),
        ],
        "/v1/plan" => vec![query("symbol", "An instrument token, or EXCHANGE:TRADINGSYMBOL.")],
        "/kite/callback" => vec![
            query("status", "success, or why not."),
            query("request_token", "Is exchanged for the day's access token, once."),
            query("state", "What the login address carried."),
        ],
        "/v1/accounts/{account}"
        | "/v1/accounts/{account}/login"
        | "/v1/accounts/{account}/unbar"
        | "/v1/accounts/{account}/access_token"
        | "/v1/accounts/{account}/reconnect" => {
            vec![path_parameter("account", "The account's name in the configuration.")]
        }
        "/v1/stream" => {
            vec![policy(), query("format", "json (default), msgpack or msgpack_positional."), key()]
        }
        "/v1/events" => {
            vec![query("symbols", "Symbols as on the stream, separated by commas."), policy(), key()]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_parameter_is_described_and_every_public_route_is_listed() {
        let document = build();
        let paths = document["paths"].as_object().unwrap();
        for route in ROUTES.iter().filter(|route| is_public(route)) {
            for (method, _) in route.methods {
                let operation = &paths[route.path][method];
                let in_path = route.path.matches('{').count();
                let described = operation["parameters"].as_array().unwrap().iter();
                let described: Vec<_> = described.filter(|parameter| parameter["in"] == "path").collect();
                assert_eq!(described.len(), in_path, "{}", route.path);
                for parameter in described {
                    assert!(route.path.contains(&format!("{{{}}}", parameter["name"].as_str().unwrap())));
                }
                assert_eq!(operation.get("security").is_some(), route.protected, "{}", route.path);
            }
        }
        assert_eq!(paths.len(), ROUTES.iter().filter(|route| is_public(route)).count());
    }
}
