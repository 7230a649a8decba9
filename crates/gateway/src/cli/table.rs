//! JSON as a table for people: a list of objects becomes rows, an object becomes name and value.

use serde_json::Value;

/// The widest a cell is shown; the JSON output has all of it.
const WIDEST: usize = 60;

/// Columns that say which row it is.
const FIRST: [&str; 8] = ["id", "name", "account", "exchange", "tradingsymbol", "strike", "wish", "step"];

/// `value` as text, ending with a line feed.
pub fn render(value: &Value) -> String {
    match value {
        Value::Array(rows) if rows.is_empty() => "none\n".to_owned(),
        Value::Array(rows) if rows.iter().all(Value::is_object) => rows_of(rows),
        Value::Object(object) => {
            // A list inside an object with its totals is what one looks for.
            let mut text = String::new();
            let (lists, plain): (Vec<_>, Vec<_>) = object.iter().partition(|(_, value)| {
                value.as_array().is_some_and(|rows| rows.iter().any(Value::is_object))
            });
            let width = plain.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
            for (name, value) in plain {
                text.push_str(&format!("{name:width$}  {}\n", cell(value)));
            }
            for (name, value) in lists {
                text.push_str(&format!("\n{name}\n{}", render(value)));
            }
            text
        }
        other => format!("{}\n", cell(other)),
    }
}

fn rows_of(rows: &[Value]) -> String {
    let mut columns: Vec<&str> =
        FIRST.iter().copied().filter(|name| rows.iter().any(|row| row.get(name).is_some())).collect();
    for name in rows.iter().filter_map(Value::as_object).flat_map(|row| row.keys()) {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|name| (*name).to_owned()).collect()];
    for row in rows {
        lines.push(columns.iter().map(|name| shortened(&cell(&row[*name]))).collect());
    }
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in lines {
        let cells: Vec<String> =
            line.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            items.iter().map(cell).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(WIDEST) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}...", &text[..at]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_line_up_and_absent_cells_are_dashes() {
        let text = render(&json!([{ "name": "main", "token": "valid" }, { "name": "b", "left": null }]));
        assert_eq!(text, "name  token  left\nmain  valid  -\nb     -      -\n");
        assert_eq!(render(&json!([])), "none\n");
    }

    #[test]
    fn an_object_is_names_and_values_with_its_lists_below() {
        let text = render(&json!({ "total": 2, "tags": ["a", "b"], "rows": [{ "x": 1 }] }));
        assert_eq!(text, "tags   a, b\ntotal  2\n\nrows\nx\n1\n");
        assert!(render(&json!([{ "x": "y".repeat(99) }])).contains("y..."));
    }
}
