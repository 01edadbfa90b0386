//! The schemas of a provider, asked for once, and values by their types.

use std::collections::BTreeMap;

use bytes::Bytes;
use tfplugin_proto::tfplugin6 as wire;

use crate::access::Object;
use crate::diagnostics::{Diagnostic, Diagnostics};
use crate::provider::{DataSource, Ephemeral, Function, Provider, Resource, Signature};
use crate::schema::Schema;
use crate::value::{CodecError, Type, Value};

/// A schema and its type.
pub(super) struct Described {
    pub schema: Schema,
    pub ty: Type,
}

/// A resource, data source or ephemeral resource, with its schema.
pub(super) struct Entry<T: ?Sized> {
    pub described: Described,
    pub it: Box<T>,
}

/// Everything a provider has, by name.
pub(super) struct Catalog<C> {
    pub provider: Described,
    pub resources: BTreeMap<String, Entry<dyn Resource<C>>>,
    pub data_sources: BTreeMap<String, Entry<dyn DataSource<C>>>,
    pub ephemerals: BTreeMap<String, Entry<dyn Ephemeral<C>>>,
    pub functions: BTreeMap<String, (Signature, Box<dyn Function>)>,
    /// Mistakes in the schemas, told with the schemas.
    pub defects: Diagnostics,
}

impl<C: Send + Sync + 'static> Catalog<C> {
    pub(super) fn of<P: Provider<Client = C>>(provider: &P) -> Self {
        let mut catalog = Self {
            provider: Described::new(provider.schema()),
            resources: BTreeMap::new(),
            data_sources: BTreeMap::new(),
            ephemerals: BTreeMap::new(),
            functions: BTreeMap::new(),
            defects: Diagnostics::new(),
        };
        for it in provider.resources() {
            let entry = Entry {
                described: Described::new(it.schema()),
                it,
            };
            catalog
                .resources
                .insert(entry.it.type_name().to_owned(), entry);
        }
        for it in provider.data_sources() {
            let entry = Entry {
                described: Described::new(it.schema()),
                it,
            };
            catalog
                .data_sources
                .insert(entry.it.type_name().to_owned(), entry);
        }
        for it in provider.ephemerals() {
            let entry = Entry {
                described: Described::new(it.schema()),
                it,
            };
            catalog
                .ephemerals
                .insert(entry.it.type_name().to_owned(), entry);
        }
        for it in provider.functions() {
            let signature = it.signature();
            catalog
                .functions
                .insert(signature.name.clone(), (signature, it));
        }
        catalog.defects = catalog.find_defects();
        catalog
    }

    fn find_defects(&self) -> Diagnostics {
        let mut found = Diagnostics::new();
        let resources = self
            .resources
            .iter()
            .map(|(name, entry)| (name, &entry.described));
        let data_sources = self
            .data_sources
            .iter()
            .map(|(name, entry)| (name, &entry.described));
        let ephemerals = self
            .ephemerals
            .iter()
            .map(|(name, entry)| (name, &entry.described));
        for (name, described) in resources.chain(data_sources).chain(ephemerals) {
            for defect in described.schema.check() {
                found.error(
                    "Mistake in the schema of the provider",
                    format!("{name}: {defect}"),
                );
            }
        }
        found
    }
}

impl Described {
    fn new(schema: Schema) -> Self {
        let ty = schema.ty();
        Self { schema, ty }
    }

    /// A value from the wire: msgpack, or JSON if there is no msgpack, or null if there is neither.
    pub(super) fn decode(&self, value: Option<wire::DynamicValue>) -> Result<Value, Diagnostics> {
        decode(value, &self.ty)
    }

    /// A value for the wire, where it fits the schema.
    pub(super) fn encode(&self, value: &Value) -> Result<wire::DynamicValue, Diagnostics> {
        encode(value, &self.ty)
    }

    /// Fits what a provider returned to the schema, without write-only values.
    pub(super) fn fit(&self, object: Object) -> Result<Value, Diagnostics> {
        let mut value = object.into_value(&self.ty).map_err(|misfit| {
            Diagnostic::error(
                "Provider returned a value that does not fit its schema",
                format!("{misfit}. This is a mistake in the provider."),
            )
            .at(&misfit.path)
        })?;
        crate::plan::null_write_only(self.schema.fields(), &mut value);
        Ok(value)
    }
}

pub(super) fn decode(value: Option<wire::DynamicValue>, ty: &Type) -> Result<Value, Diagnostics> {
    let Some(value) = value else {
        return Ok(Value::Null);
    };
    let unreadable = |error: &dyn std::fmt::Display| {
        Diagnostics::from(Diagnostic::error(
            "Unreadable value",
            format!(
                "A value that Terraform sent does not fit the schema: {error}. Terraform and provider may be of different versions."
            ),
        ))
    };
    if !value.msgpack.is_empty() {
        return Value::from_msgpack(&value.msgpack, ty).map_err(|error| unreadable(&error));
    }
    if !value.json.is_empty() {
        return Value::from_json(&value.json, ty)
            .map(|(value, _)| value)
            .map_err(|error| unreadable(&error));
    }
    Ok(Value::Null)
}

pub(super) fn encode(value: &Value, ty: &Type) -> Result<wire::DynamicValue, Diagnostics> {
    let msgpack = value.to_msgpack(ty).map_err(|error: CodecError| {
        Diagnostic::error(
            "Provider returned a value that does not fit its schema",
            format!("{error}. This is a mistake in the provider."),
        )
    })?;
    Ok(wire::DynamicValue {
        msgpack: msgpack.into(),
        json: Bytes::new(),
    })
}

/// The root object of a configuration, which is never null or unknown where it is needed.
pub(super) fn root(value: &Value) -> Result<Object, Diagnostics> {
    Object::from_root(value).ok_or_else(|| {
        Diagnostic::error(
            "Missing configuration",
            "Terraform sent no object where one is needed.",
        )
        .into()
    })
}
