//! The tables of `docs/compatibility.md` say what the code's tables say. `UPDATE_DOCUMENTS=1` writes them anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use object_rules::Coverage;
use registry::KindTable;

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/compatibility.md")
}

/// The lines of a table of the page, between its two marks.
fn check(name: &str, expected: String) {
    let text = fs::read_to_string(page()).expect("the page is there");
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let from = text.find(&begin).expect("the table's first mark") + begin.len();
    let to = text.find(&end).expect("the table's last mark");
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        let updated = format!("{}{expected}{}", &text[..from], &text[to..]);
        fs::write(page(), updated).expect("the page can be written");
        return;
    }
    let lines = |table: &str| table.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (found, expected) = (lines(&text[from..to]), lines(&expected));
    let only = |left: &BTreeSet<String>, right: &BTreeSet<String>| left.difference(right).cloned().collect::<Vec<_>>();
    assert_eq!(
        only(&found, &expected),
        Vec::<String>::new(),
        "only on the page (UPDATE_DOCUMENTS=1 writes it anew)"
    );
    assert_eq!(
        only(&expected, &found),
        Vec::<String>::new(),
        "only in the code (UPDATE_DOCUMENTS=1 writes it anew)"
    );
}

// One test, because both tables are parts of one file.
#[test]
fn the_page_lists_every_kind_and_every_operation_with_its_state() {
    let kinds = KindTable::built_in();
    let mut rows: Vec<String> = kinds
        .iter()
        .map(|kind| {
            let gvk = kind.gvk();
            let state = match (kind.storage.is_some(), object_rules::coverage(&gvk.group, &gvk.kind)) {
                (false, _) => "review",
                (true, Some(Coverage::Rules)) => "rules",
                (true, Some(Coverage::Defaults)) => "defaults",
                (true, Some(Coverage::Schema) | None) => "schema",
            };
            format!("| {} | {} | {state} |\n", gvk.kind, gvk.api_version())
        })
        .collect();
    rows.sort();
    check(
        "kinds",
        format!("| Kind | Version | |\n|---|---|---|\n{}", rows.concat()),
    );

    let served: BTreeSet<(&str, &str)> = aws_api::served_operations().collect();
    let mut rows = String::from("| Service | Operation | |\n|---|---|---|\n");
    for service in aws_types::shapes::SERVICES {
        let known = aws_types::shapes::service(service).expect("a listed service has shapes");
        let names: BTreeSet<&str> = known
            .operations
            .keys()
            .chain(&known.other_operations)
            .map(AsRef::as_ref)
            .collect();
        for name in names {
            let state = if served.contains(&(*service, name)) {
                "works"
            } else {
                "not yet"
            };
            rows += &format!("| {service} | {name} | {state} |\n");
        }
    }
    check("operations", rows);
}
