//! Rules of every text: error pages, links, and words that must not be committed.

use crate::{Tracked, files, has_extension, none, root};
use anyhow::Result;
use runnel_api::ErrorCode;
use std::collections::BTreeSet;

/// Words that no file may hold. Written in two halves, so that this file holds none of them.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("/wo", "rk/"), "a path of one machine"),
    (concat!("/ro", "ot/"), "a path of one machine"),
    (concat!("/ho", "me/"), "a path of one machine"),
    (concat!("/Us", "ers/"), "a path of one machine"),
    (concat!("TO", "DO"), "unfinished"),
    (concat!("FIX", "ME"), "unfinished"),
    (concat!("to", "do!("), "unfinished"),
    (concat!("unim", "plemented!("), "unfinished"),
];

/// Files that may hold one of [`FORBIDDEN`], with the reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[(
    "daemon/src/config/tests.rs",
    concat!("/ho", "me/"),
    "a made-up home folder in tests of where files are by default",
)];

/// Lock files are written by tools and hold their own words.
fn is_generated(path: &str) -> bool {
    ["lock", "proptest-regressions"]
        .iter()
        .any(|extension| has_extension(path, extension))
}

#[test]
fn every_error_code_has_a_page_and_every_page_a_code() -> Result<()> {
    let files = files()?;
    let page = |file: &Tracked| {
        let name = file
            .path
            .strip_prefix("docs/errors/")?
            .strip_suffix(".md")?;
        (name != "README").then(|| name.to_owned())
    };
    let pages: BTreeSet<String> = files.iter().filter_map(page).collect();
    let codes: BTreeSet<String> = ErrorCode::ALL
        .iter()
        .map(|code| code.as_str().to_owned())
        .collect();
    assert_eq!(pages, codes, "pages on the left, codes on the right");
    let list = files.iter().find(|it| it.path == "docs/errors/README.md");
    let list = list.map_or("", |file| file.text.as_str());
    let unlisted: Vec<String> = codes
        .into_iter()
        .filter(|code| !list.contains(&format!("[{code}]({code}.md)")))
        .collect();
    none("codes that docs/errors/README.md does not list", &unlisted);
    Ok(())
}

#[test]
fn nothing_unfinished_and_no_path_of_a_machine_is_committed() -> Result<()> {
    let files = files()?;
    let mut violations = Vec::new();
    let mut needed = BTreeSet::new();
    for file in files.iter().filter(|file| !is_generated(&file.path)) {
        for (number, line) in file.text.lines().enumerate() {
            for (word, why) in FORBIDDEN.iter().filter(|(word, _)| line.contains(word)) {
                let is_exception = EXCEPTIONS
                    .iter()
                    .any(|(path, it, _)| *path == file.path && it == word);
                if is_exception {
                    needed.insert((file.path.as_str(), *word));
                } else {
                    let place = format!("{}:{}", file.path, number + 1);
                    violations.push(format!("{place}: {word} ({why})"));
                }
            }
        }
    }
    let idle = EXCEPTIONS
        .iter()
        .filter(|(path, word, _)| !needed.contains(&(*path, *word)));
    violations
        .extend(idle.map(|(path, word, _)| format!("{path} no longer holds {word}: unlist it")));
    none("words that must not be committed", &violations);
    Ok(())
}

/// Targets of links and images of a page: `[…](target)` and `src="target"`, code aside.
fn links(markdown: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut in_code = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
            continue;
        }
        if in_code {
            continue;
        }
        // Every second part is inline code.
        let text: String = line.split('`').step_by(2).collect();
        for (begin, end) in [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"')] {
            for (at, _) in text.match_indices(begin) {
                let rest = &text[at + begin.len()..];
                links.extend(rest.find(end).map(|end| rest[..end].to_owned()));
            }
        }
    }
    links
}

#[test]
fn links_are_found_outside_code_only() {
    let page = "[a](x.md#y) `[b](z)`\n```\n[c](w)\n```\n<img src=\"p.svg\">";
    assert_eq!(links(page), ["x.md#y", "p.svg"]);
}

#[test]
fn every_relative_link_of_a_page_leads_to_a_file() -> Result<()> {
    let files = files()?;
    let known: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let mut violations = Vec::new();
    for page in files.iter().filter(|it| has_extension(&it.path, "md")) {
        let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for link in links(&page.text) {
            let target = link.split('#').next().unwrap_or("");
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let place = resolved(folder, target);
            let found = known.contains(place.as_str()) || root().join(&place).is_dir();
            if !found {
                violations.push(format!("{}: {link}", page.path));
            }
        }
    }
    none("links that lead nowhere", &violations);
    Ok(())
}

/// A link's path from the top of the work tree.
fn resolved(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|it| !it.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[test]
fn the_decisions_are_numbered_without_a_gap() -> Result<()> {
    let files = files()?;
    let numbers: Vec<&str> = files
        .iter()
        .filter_map(|file| file.path.strip_prefix("docs/decisions/"))
        .filter_map(|name| name.split_once('-').map(|(number, _)| number))
        .collect();
    let expected: Vec<String> = (1..=numbers.len()).map(|it| format!("{it:04}")).collect();
    assert_eq!(numbers, expected);
    Ok(())
}
