//! The order in which a plan is made. Everything here is a function of its arguments: Terraform plans again
//! during apply and must get the same.
//!
//! 1. defaults where the configuration is null;
//! 2. write-only attributes become null;
//! 3. what means the same as before keeps its prior text, so that step 4 sees no difference;
//! 4. if anything differs from the prior state, what is computed and not configured becomes unknown, except
//!    where the schema says that the state holds;
//! 5. changed attributes that ask for it are collected as reasons for a replacement;
//! 6. the resource's own hook (not here: it may await);
//! 7. [`finish`]: once more 2 and 5, as the hook may have changed something.

use super::walk::{Beside, Next, null_write_only, visit};
use crate::path::Path;
use crate::schema::{Fields, Replace, Schema};
use crate::value::{Misfit, Type, Value};

/// What Terraform sends for a plan of create or update.
pub(crate) struct Inputs<'a> {
    pub schema: &'a Schema,
    /// Null for something new.
    pub prior: &'a Value,
    pub config: &'a Value,
    /// The configuration with prior values where it is silent and the provider decides.
    pub proposed: Value,
}

/// A plan before or after the hook.
#[derive(Debug, PartialEq)]
pub(crate) struct Planned {
    pub value: Value,
    /// Sorted, each path once.
    pub requires_replace: Vec<Path>,
}

impl<'a> Inputs<'a> {
    fn beside(&self) -> Beside<'a> {
        Beside {
            config: self.config,
            prior: (!self.prior.is_null()).then_some(self.prior),
        }
    }
}

/// Steps 1 to 5.
pub(crate) fn prepare(mut inputs: Inputs<'_>) -> Planned {
    let mut planned = std::mem::take(&mut inputs.proposed);
    let fields = inputs.schema.fields();
    let beside = inputs.beside();
    set_defaults(fields, beside, &mut planned);
    null_write_only(fields, &mut planned);
    keep_equal(fields, beside, &mut planned);
    if planned != *inputs.prior {
        mark_unknown(fields, beside, &mut planned);
    }
    let requires_replace = replace_paths(fields, inputs.prior, &planned);
    Planned {
        value: planned,
        requires_replace,
    }
}

/// Step 7: fits what the hook left to the schema and collects the reasons for a replacement again.
pub(crate) fn finish(
    schema: &Schema,
    ty: &Type,
    prior: &Value,
    planned: Value,
    hook_requires: Vec<Path>,
) -> Result<Planned, Misfit> {
    let mut value = planned.conform(ty)?;
    null_write_only(schema.fields(), &mut value);
    let mut requires_replace = replace_paths(schema.fields(), prior, &value);
    if !prior.is_null() {
        requires_replace.extend(hook_requires);
    }
    requires_replace.sort();
    requires_replace.dedup();
    Ok(Planned {
        value,
        requires_replace,
    })
}

/// Keeps the text of `prior` where `new` means the same: for the states of read and apply.
pub(crate) fn keep_prior(schema: &Schema, prior: &Value, new: &mut Value) {
    let Value::Object(object) = new else { return };
    // Whatever is compared counts as configured here; the states have the same shape.
    let beside = Beside {
        config: prior,
        prior: Some(prior),
    };
    visit(
        schema.fields(),
        beside,
        object,
        &Path::root(),
        false,
        &mut |spot| {
            if let (Some(equal), Some(prior), false) =
                (spot.attribute.equal, spot.prior, spot.in_set)
            {
                keep_if(equal, prior, spot.planned);
            }
            Next::Inside
        },
    );
}

/// A configuration with its defaults, for what has no plan: data sources and ephemeral resources.
pub(crate) fn with_defaults(schema: &Schema, config: &Value) -> Value {
    let mut filled = config.clone();
    set_defaults(
        schema.fields(),
        Beside {
            config,
            prior: None,
        },
        &mut filled,
    );
    filled
}

fn keep_if(equal: crate::schema::Equal, prior: &Value, new: &mut Value) {
    let comparable = |value: &Value| !value.is_null() && value.is_wholly_known();
    if prior != new && comparable(prior) && comparable(new) && equal(prior, new) {
        *new = prior.clone();
    }
}

fn set_defaults(fields: Fields<'_>, beside: Beside<'_>, planned: &mut Value) {
    let Value::Object(object) = planned else {
        return;
    };
    visit(fields, beside, object, &Path::root(), false, &mut |spot| {
        if !spot.config.is_null() {
            return Next::Inside;
        }
        if let Some(default) = &spot.attribute.default {
            let ty = crate::schema::Field::Attribute(spot.attribute).ty();
            // `Schema::check` refuses a default that does not fit.
            *spot.planned = default.clone().conform(&ty).unwrap_or_default();
        }
        Next::Past
    });
}

fn keep_equal(fields: Fields<'_>, beside: Beside<'_>, planned: &mut Value) {
    let Value::Object(object) = planned else {
        return;
    };
    visit(fields, beside, object, &Path::root(), false, &mut |spot| {
        let configured = !spot.config.is_null();
        if let (Some(equal), Some(prior), true, false) =
            (spot.attribute.equal, spot.prior, configured, spot.in_set)
        {
            keep_if(equal, prior, spot.planned);
        }
        Next::Inside
    });
}

fn mark_unknown(fields: Fields<'_>, beside: Beside<'_>, planned: &mut Value) {
    let Value::Object(object) = planned else {
        return;
    };
    visit(fields, beside, object, &Path::root(), false, &mut |spot| {
        if !spot.config.is_null() {
            return Next::Inside;
        }
        if spot.attribute.presence.is_computed() && spot.attribute.default.is_none() {
            *spot.planned = match spot.prior {
                Some(prior) if spot.attribute.use_state => prior.clone(),
                _ => Value::unknown(),
            };
        }
        Next::Past
    });
}

fn replace_paths(fields: Fields<'_>, prior: &Value, planned: &Value) -> Vec<Path> {
    let mut paths = Vec::new();
    let (Value::Object(mut object), false) = (planned.clone(), prior.is_null()) else {
        return paths;
    };
    let beside = Beside {
        config: planned,
        prior: Some(prior),
    };
    visit(
        fields,
        beside,
        &mut object,
        &Path::root(),
        false,
        &mut |spot| {
            let before = spot.prior.unwrap_or(&Value::Null);
            if before != spot.planned {
                let replaces = match spot.attribute.replace {
                    Replace::Never => false,
                    Replace::Always => true,
                    Replace::If(decide) => decide(before, spot.planned),
                };
                if replaces {
                    paths.push(spot.path.clone());
                }
            }
            Next::Inside
        },
    );
    paths.sort();
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests;
