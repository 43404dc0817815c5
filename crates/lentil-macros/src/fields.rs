use std::collections::HashMap;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Fields, GenericArgument, Ident, PathArguments, Result, Type};

use crate::attributes::{self, check_identifier, check_name};
use crate::misuse::{Derive, Misuse};
use crate::names::camel_case;

/// A field of a derived struct.
pub(crate) struct Field<'i> {
    pub(crate) ident: &'i Ident,
    pub(crate) ty: &'i Type,
    /// The name in documents and JSON.
    pub(crate) name: String,
}

impl<'i> Field<'i> {
    /// Returns the type inside the `Option` of a field that may be missing.
    pub(crate) fn option(&self) -> Option<&'i Type> {
        inside_option(self.ty)
    }

    /// Returns `<Type as FieldType>`. An error about it underlines the type of the field.
    pub(crate) fn field_type(&self) -> TokenStream {
        qualified(self.ty, &quote!(FieldType))
    }
}

fn inside_option(ty: &Type) -> Option<&Type> {
    // By name, because a derive does not see types. A field whose type is an alias of `Option` may
    // be missing as well, but its patch has no `clear_…` method.
    let Type::Path(path) = ty else { return None };
    let last = path
        .path
        .segments
        .last()
        .filter(|last| last.ident == "Option")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(inner) => Some(inner),
        _ => None,
    }
}

/// Returns `<Type as Trait>`. An error about it underlines the type.
pub(crate) fn qualified(ty: &Type, derive_trait: &TokenStream) -> TokenStream {
    // The place of the type, but names resolve as in the other derived code.
    let span = ty.span().resolved_at(Span::call_site());
    quote_spanned!(span=> <#ty as ::lentil::__derive::#derive_trait>)
}

/// Reads the named fields of a struct or of a variant.
pub(crate) fn named<'i>(
    fields: &'i Fields,
    owner: impl ToTokens,
    derive: Derive,
) -> Result<Vec<Field<'i>>> {
    let Fields::Named(named) = fields else {
        return Err(Misuse::Unnamed { derive }.at(owner));
    };
    let mut seen = HashMap::new();
    named
        .named
        .iter()
        .map(|field| read(field, derive, &mut seen))
        .collect()
}

fn read<'i>(
    field: &'i syn::Field,
    derive: Derive,
    seen: &mut HashMap<String, &'i Ident>,
) -> Result<Field<'i>> {
    let ident = field.ident.as_ref().expect("a named field has a name");
    for attribute in ["table", "index", "unique", "tag"] {
        attributes::misplaced(&field.attrs, attribute, "above the type, not above a field")?;
    }
    attributes::misplaced(
        &field.attrs,
        "flatten",
        "above a field of a struct with derive(ValueType)",
    )?;
    let renamed = attributes::text(&field.attrs, "rename")?;
    let (name, place) = match renamed {
        Some(renamed) => (renamed.value(), renamed.into_token_stream()),
        None => (camel_case(&ident.to_string()), ident.into_token_stream()),
    };
    match derive {
        // System fields are beside a document's own fields.
        Derive::Document => check_name("a document's field", &name, &place)?,
        Derive::Args | Derive::ValueType => check_identifier("a field", &name, &place)?,
    }

    if let Some(other) = seen.insert(name.clone(), ident) {
        let misuse = Misuse::SameName {
            idents: [other, ident],
            what: "field",
            name: &name,
        };
        return Err(misuse.at(place));
    }
    if inside_option(&field.ty).and_then(inside_option).is_some() {
        return Err(Misuse::OptionTwice.at(&field.ty));
    }
    Ok(Field {
        ident,
        ty: &field.ty,
        name,
    })
}

/// Returns an expression that does not compile if a field contains the type itself.
///
/// The constant of each type depends on the constants of its fields. The constant of a type that
/// contains itself therefore depends on itself.
pub(crate) fn no_cycle(fields: &[Field<'_>]) -> TokenStream {
    let fields = fields.iter().map(|field| {
        let field_type = field.field_type();
        quote!(&& #field_type::DOES_NOT_CONTAIN_ITSELF)
    });
    quote!(true #(#fields)*)
}

/// Returns the constant. An error about it underlines the name of the type.
pub(crate) fn no_cycle_constant(name: &Ident, no_cycle: &TokenStream) -> TokenStream {
    let span = name.span().resolved_at(Span::call_site());
    quote_spanned!(span=> const DOES_NOT_CONTAIN_ITSELF: bool = #no_cycle;)
}

/// Rejects a type with a field of the type itself. The compiler finds longer cycles, but its
/// message is longer.
pub(crate) fn reject_self<'t>(
    owner: &Ident,
    types: impl IntoIterator<Item = &'t Type>,
) -> Result<()> {
    for ty in types {
        let inner = innermost(ty);
        if let Type::Path(path) = inner
            && path.qself.is_none()
            && (path.path.is_ident(owner) || path.path.is_ident("Self"))
        {
            let owner = owner.to_string();
            return Err(Misuse::Recursive { owner: &owner }.at(ty));
        }
    }
    Ok(())
}

/// Returns the type inside the containers that are value types.
fn innermost(ty: &Type) -> &Type {
    let Type::Path(path) = ty else { return ty };
    let Some(last) = path.path.segments.last() else {
        return ty;
    };
    let is_container = ["Option", "Vec", "Nullable", "BTreeMap"]
        .iter()
        .any(|container| last.ident == container);
    match &last.arguments {
        PathArguments::AngleBracketed(arguments) if is_container => match arguments.args.last() {
            Some(GenericArgument::Type(inner)) => innermost(inner),
            _ => ty,
        },
        _ => ty,
    }
}

/// Returns `[(name, validator), …]`.
pub(crate) fn validators(fields: &[Field<'_>]) -> TokenStream {
    let entries = fields.iter().map(|field| {
        let name = &field.name;
        let field_type = field.field_type();
        quote!((#name, #field_type::field_validator()))
    });
    // The cast gives the array of a struct without fields a type.
    quote!([#(#entries),*] as [(&'static str, ::lentil::__derive::FieldValidator); _])
}

/// Returns the object of the fields. Each is a variable, or a field of the receiver `self.`.
pub(crate) fn into_object(
    fields: &[Field<'_>],
    receiver: &TokenStream,
    further: Option<TokenStream>,
) -> TokenStream {
    // Objects are ordered by name. Fields that come in this order are appended and not inserted.
    let mut fields: Vec<&Field<'_>> = fields.iter().collect();
    fields.sort_unstable_by_key(|field| &field.name);
    let entries = fields.into_iter().map(|field| {
        let Field { ident, name, .. } = field;
        let field_type = field.field_type();
        quote!((const { ::lentil::__derive::FieldName::from_static(#name) }, #field_type::into_field(#receiver #ident)))
    });
    let entries = entries.chain(further);
    quote!(::lentil::__derive::Object::of_present([#(#entries),*]))
}

/// Returns `Ok(path { field: … })`, which reads all fields of the variable `object`.
pub(crate) fn from_object(fields: &[Field<'_>], path: &TokenStream) -> TokenStream {
    let takes = takes(fields);
    quote! {
        let read = #path { #(#takes),* };
        ::lentil::__derive::nothing_left(&object)?;
        ::core::result::Result::Ok(read)
    }
}

/// Returns `Ok(path { field: … })`, which reads the variable `object` and ignores its other fields.
pub(crate) fn from_larger_object(fields: &[Field<'_>], path: &TokenStream) -> TokenStream {
    let takes = takes(fields);
    quote!(::core::result::Result::Ok(#path { #(#takes),* }))
}

/// Returns `field: …` for each field, removed from the variable `object`.
pub(crate) fn takes(fields: &[Field<'_>]) -> Vec<TokenStream> {
    // Objects are ordered by name. Removing the last field moves no other.
    let mut fields: Vec<&Field<'_>> = fields.iter().collect();
    fields.sort_unstable_by(|a, b| b.name.cmp(&a.name));
    let takes = fields.into_iter().map(|field| {
        let Field { ident, name, .. } = field;
        let field_type = field.field_type();
        quote!(#ident: #field_type::from_field(object.remove(#name)).map_err(|error| error.in_field(#name))?)
    });
    takes.collect()
}
