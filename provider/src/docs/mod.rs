//! Pages for people, made of the schema: `terraform-provider-runnel docs DIRECTORY` writes them in
//! the form that the Terraform registry shows (registry documentation, "Provider documentation").

mod examples;
mod schema_text;

use crate::provider::Runnel;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use tfplugin::schema::Schema;
use tfplugin::{Function, Provider as _};

/// Writes all pages below `folder`.
pub fn write(folder: &Path) -> std::io::Result<()> {
    for (name, text) in pages() {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, text)?;
    }
    Ok(())
}

/// Each page by its path below the folder.
pub fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    let provider = Runnel;
    pages.insert("index.md".to_owned(), index(&provider.schema()));
    for resource in provider.resources() {
        let name = resource.type_name();
        let page = page(
            name,
            "Resource",
            &resource.schema(),
            examples::resource(name),
        );
        let page = format!("{page}{}", import(name));
        pages.insert(format!("resources/{}.md", short(name)), page);
    }
    for source in provider.data_sources() {
        let name = source.type_name();
        let page = page(
            name,
            "Data Source",
            &source.schema(),
            examples::data_source(name),
        );
        pages.insert(format!("data-sources/{}.md", short(name)), page);
    }
    for function in provider.functions() {
        let name = function.signature().name;
        pages.insert(
            format!("functions/{name}.md"),
            function_page(function.as_ref()),
        );
    }
    pages
}

fn short(name: &str) -> &str {
    name.strip_prefix("runnel_").unwrap_or(name)
}

fn index(schema: &Schema) -> String {
    let mut page = front_matter("runnel Provider", &schema.block.description);
    let _ = write!(page, "# runnel Provider\n\n{}\n", schema.block.description);
    page.push_str(&example(Some(examples::PROVIDER)));
    page.push_str(&schema_text::section(schema));
    page
}

fn page(name: &str, what: &str, schema: &Schema, usage: Option<&str>) -> String {
    let description = &schema.block.description;
    let mut page = front_matter(&format!("{name} {what} - runnel"), description);
    let _ = write!(page, "# {name} ({what})\n\n{description}\n");
    page.push_str(&example(usage));
    page.push_str(&schema_text::section(schema));
    page
}

fn function_page(function: &dyn Function) -> String {
    let signature = function.signature();
    let name = &signature.name;
    let mut page = front_matter(&format!("{name} function - runnel"), &signature.summary);
    let _ = write!(page, "# function: {name}\n\n{}\n", signature.description);
    page.push_str(&example(examples::function(name)));
    let parameters: Vec<String> = signature
        .parameters
        .iter()
        .map(|parameter| {
            format!(
                "{} {}",
                parameter.name,
                schema_text::type_words(&parameter.ty).to_lowercase()
            )
        })
        .collect();
    let returns = schema_text::type_words(&signature.returns).to_lowercase();
    let _ = write!(
        page,
        "\n## Signature\n\n```text\n{name}({}) {returns}\n```\n\n## Arguments\n\n",
        parameters.join(", ")
    );
    for (position, parameter) in signature.parameters.iter().enumerate() {
        let words = schema_text::type_words(&parameter.ty);
        let _ = writeln!(
            page,
            "{}. `{}` ({words}) {}",
            position + 1,
            parameter.name,
            parameter.description
        );
    }
    page
}

fn front_matter(title: &str, description: &str) -> String {
    format!(
        "---\npage_title: \"{title}\"\nsubcategory: \"\"\ndescription: |-\n  {}\n---\n\n",
        // The first paragraph says what it is.
        description.lines().next().unwrap_or_default()
    )
}

fn example(text: Option<&str>) -> String {
    text.map(|text| {
        format!(
            "\n## Example Usage\n\n```terraform\n{}\n```\n",
            text.trim_end()
        )
    })
    .unwrap_or_default()
}

fn import(name: &str) -> String {
    format!(
        "\n## Import\n\nBy its name, with an import block:\n\n```terraform\nimport {{\n  to = {name}.example\n  id = \
         \"NAME\"\n}}\n```\n\nor on the command line:\n\n```shell\nterraform import {name}.example NAME\n```\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_in_the_repository_are_those_of_the_schema() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        for (name, text) in pages() {
            let found = std::fs::read_to_string(root.join(&name)).unwrap_or_default();
            assert!(found == text, "docs/{name} is out of date; run `make docs`");
        }
        for folder in ["resources", "data-sources", "functions"] {
            for entry in std::fs::read_dir(root.join(folder)).unwrap() {
                let name = format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy());
                assert!(pages().contains_key(&name), "docs/{name} describes nothing");
            }
        }
    }

    #[test]
    fn every_type_has_an_example_and_every_page_a_description() {
        for (name, text) in pages() {
            assert!(text.contains("## Example Usage"), "{name}");
            assert!(!text.contains("description: |-\n  \n"), "{name}");
        }
    }
}
