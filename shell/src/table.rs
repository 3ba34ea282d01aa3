//! Plain text tables: columns as wide as their widest cell.

/// Rows under a head, first column to the left, the others to the right.
#[must_use]
pub fn table(head: &[&str], rows: &[Vec<String>], left: usize) -> Vec<String> {
    let width = |text: &str| text.chars().count();
    let mut widths: Vec<usize> = head.iter().map(|cell| width(cell)).collect();
    for row in rows {
        for (wide, cell) in widths.iter_mut().zip(row) {
            *wide = (*wide).max(width(cell));
        }
    }
    let line = |cells: &[&str]| {
        let mut line = String::new();
        for (at, (cell, wide)) in cells.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(wide - width(cell));
            if at > 0 {
                line.push_str("  ");
            }
            if at < left {
                line.push_str(cell);
                line.push_str(&pad);
            } else {
                line.push_str(&pad);
                line.push_str(cell);
            }
        }
        line.trim_end().to_owned()
    };
    let mut lines = vec![line(head)];
    let rule: Vec<String> = widths.iter().map(|wide| "─".repeat(*wide)).collect();
    lines.push(line(&rule.iter().map(String::as_str).collect::<Vec<_>>()));
    for row in rows {
        lines.push(line(&row.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".into(), "12.5".into()], vec!["long".into(), "µ".into()]];
        let lines = table(&["id", "net"], &rows, 1);
        assert_eq!(lines, ["id     net", "────  ────", "a     12.5", "long     µ"]);
    }
}
