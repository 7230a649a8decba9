//! `/openapi.json`, written from the route table.

use axum::Json;
use serde_json::{Map, Value, json};

use crate::routes::{ROUTES, Route};

pub(crate) async fn document() -> Json<Value> {
    Json(build())
}

fn build() -> Value {
    let described = ROUTES.iter().filter(|route| !route.summary.is_empty());
    let paths: Map<String, Value> =
        described.map(|route| (route.path.to_owned(), operation(route))).collect();
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
                            "enum": ["InputException", "DataException", "TokenException", "PermissionException", "GeneralException"],
                        },
                        "message": { "type": "string" },
                    },
                },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
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
    let mut operation = json!({ "summary": route.summary, "parameters": parameters });
    if let Some(schema) = body(route.path) {
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    if route.protected {
        responses.insert("403".to_owned(), failure("The API key is missing or wrong."));
        operation["security"] = json!([{ "api_key": [] }]);
    }
    operation["responses"] = Value::Object(responses);
    json!({ route.method: operation })
}

/// What a command is sent with.
fn body(path: &str) -> Option<Value> {
    let object = |properties: Value, required: &[&str]| json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required });
    match path {
        "/v1/accounts/{account}/access_token" => {
            Some(object(json!({ "access_token": { "type": "string" } }), &["access_token"]))
        }
        "/v1/accounts/{account}/reconnect" => {
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
            "schema": { "type": if self.name == "around" { "integer" } else { "string" } },
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
        "/v1/accounts/{account}/access_token" | "/v1/accounts/{account}/reconnect" => {
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
        for route in ROUTES.iter().filter(|route| !route.summary.is_empty()) {
            let operation = &paths[route.path][route.method];
            let in_path = route.path.matches('{').count();
            let described = operation["parameters"].as_array().unwrap().iter();
            let described: Vec<_> = described.filter(|parameter| parameter["in"] == "path").collect();
            assert_eq!(described.len(), in_path, "{}", route.path);
            for parameter in described {
                assert!(route.path.contains(&format!("{{{}}}", parameter["name"].as_str().unwrap())));
            }
            assert_eq!(operation.get("security").is_some(), route.protected, "{}", route.path);
        }
        assert_eq!(paths.len(), ROUTES.iter().filter(|route| !route.summary.is_empty()).count());
    }
}
