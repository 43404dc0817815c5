use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Ident, Result, Token, parenthesized};

use crate::fields::Field;
use crate::names::{constant_name, nearest, refuse_name};

/// `#[index(by_jobId(job_id, status))]`
pub(crate) struct Index {
    name: Ident,
    fields: Vec<Ident>,
}

impl Parse for Index {
    fn parse(input: ParseStream<'_>) -> Result<Index> {
        let usage = "write #[index(by_jobId(job_id))]: the index's name, then fields of the struct";
        let name: Ident = input.parse().map_err(|error| syn::Error::new(error.span(), usage))?;
        if !input.peek(syn::token::Paren) {
            return Err(syn::Error::new(name.span(), usage));
        }
        let content;
        parenthesized!(content in input);
        let fields = Punctuated::<Ident, Token![,]>::parse_terminated(&content);
        let fields = fields.map_err(|error| syn::Error::new(error.span(), usage))?;
        if fields.is_empty() || !input.is_empty() {
            return Err(syn::Error::new(name.span(), usage));
        }
        Ok(Index { name, fields: fields.into_iter().collect() })
    }
}

/// The indexes that a struct's attributes declare, each checked against its fields.
pub(crate) fn read(attributes: &[Attribute], fields: &[Field<'_>]) -> Result<Vec<Index>> {
    let mut indexes: Vec<Index> = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("index")) {
        let index: Index = attribute.parse_args().map_err(|error| match attribute.meta {
            syn::Meta::List(_) => error,
            _ => syn::Error::new(attribute.span(), "write #[index(by_jobId(job_id))]"),
        })?;
        check(&index, fields)?;
        if indexes.iter().any(|other| constant(other) == constant(&index)) {
            return Err(syn::Error::new(index.name.span(), format!("two indexes are named `{}`", index.name)));
        }
        indexes.push(index);
    }
    Ok(indexes)
}

fn check(index: &Index, fields: &[Field<'_>]) -> Result<()> {
    let name = index.name.to_string();
    if let Some(refusal) = refuse_name("index", &name) {
        return Err(syn::Error::new(index.name.span(), refusal));
    }
    if name == "by_id" || name == "by_creation_time" {
        let message = format!("every table has the index `{name}` already; leave it out");
        return Err(syn::Error::new(index.name.span(), message));
    }
    for (at, field) in index.fields.iter().enumerate() {
        if index.fields[..at].contains(field) {
            return Err(syn::Error::new(field.span(), format!("`{field}` stands twice in the index `{name}`")));
        }
        find(field, fields)?;
    }
    Ok(())
}

fn find<'f, 'i>(name: &Ident, fields: &'f [Field<'i>]) -> Result<&'f Field<'i>> {
    fields.iter().find(|field| field.ident == name).ok_or_else(|| {
        let text = name.to_string();
        let message = if matches!(text.as_str(), "_id" | "_creationTime" | "id" | "creation_time") {
            "`_creationTime` and `_id` end every index by themselves; leave them out".to_owned()
        } else {
            let known: Vec<String> = fields.iter().map(|field| field.ident.to_string()).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            match nearest(&text, &known) {
                Some(near) => format!("there is no field `{text}`; did you mean `{near}`?"),
                None => format!("there is no field `{text}`; the fields are `{}`", known.join("`, `")),
            }
        };
        syn::Error::new(name.span(), message)
    })
}

fn constant(index: &Index) -> String {
    constant_name(&index.name.to_string())
}

/// `.index("by_jobId", ["jobId"])` of every index.
pub(crate) fn declarations(indexes: &[Index], fields: &[Field<'_>]) -> Result<TokenStream> {
    let declare = |index: &Index| {
        let name = index.name.to_string();
        let fields: Vec<_> = index.fields.iter().map(|field| Ok(&find(field, fields)?.name)).collect::<Result<_>>()?;
        Ok(quote!(.index(#name, [#(#fields),*])))
    };
    indexes.iter().map(declare).collect()
}

/// `pub const BY_JOB_ID: Index<Job, (String, (f64, (Id<Job>, ())))>` of every index.
pub(crate) fn constants(indexes: &[Index], fields: &[Field<'_>]) -> Result<TokenStream> {
    let declare = |index: &Index| {
        let name = index.name.to_string();
        let constant = format_ident!("{}", constant(index), span = index.name.span());
        let mut types = quote!((f64, (::lentil::__derive::Id<Self>, ())));
        for field in index.fields.iter().rev() {
            let ty = find(field, fields)?.ty;
            types = quote!((#ty, #types));
        }
        let listed: Vec<_> = index.fields.iter().map(|field| format!("`{field}`")).collect();
        let doc = format!("The index `{name}`: by {}, then by creation.", listed.join(", "));
        Ok(quote! {
            #[doc = #doc]
            pub const #constant: ::lentil::__derive::Index<Self, #types> = ::lentil::__derive::Index::new(#name);
        })
    };
    indexes.iter().map(declare).collect()
}
