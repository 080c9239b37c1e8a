package settings

import (
	"encoding"
	"reflect"
	"strings"
	"unicode"
)

// Key is one setting.
type Key struct {
	Path    string // tls.certFile
	Env     string // MIRROR_TLS_CERT_FILE
	Flag    string // tls-cert-file
	HasFlag bool   // the field has the tag flag:"true"
	Secret  bool   // the value is masked: the field has the tag secret:"true", or secret:"url" for a URL with a secret
	value   reflect.Value
}

// Value returns the value of the key's field.
func (k Key) Value() any { return k.value.Interface() }

// Pointer returns a pointer to the key's field.
func (k Key) Pointer() any { return k.value.Addr().Interface() }

// Keys returns the keys of c, a pointer to a struct, in the order of its fields.
func Keys(c any) []Key { return keys(reflect.ValueOf(c).Elem(), "") }

func keys(v reflect.Value, path string) (all []Key) {
	for _, field := range Fields(v) {
		sub := join(path, field.Name)
		if isSection(field.Value.Type()) {
			all = append(all, keys(field.Value, sub)...)
			continue
		}
		all = append(all, Key{
			Path: sub, Env: EnvPrefix + strings.ToUpper(words(sub, "_")), Flag: words(sub, "-"),
			HasFlag: field.tag.Get("flag") == "true", Secret: field.tag.Get("secret") != "", value: field.Value,
		})
	}
	return all
}

// Field is a field of a section.
type Field struct {
	Name  string // in YAML
	Value reflect.Value
	tag   reflect.StructTag
}

// Fields returns the fields of a struct that have a name in YAML, including those of its inline fields.
func Fields(v reflect.Value) (all []Field) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		switch {
		case name == "-" || !field.IsExported():
		case options == "inline":
			all = append(all, Fields(v.Field(i))...)
		case name != "":
			all = append(all, Field{Name: name, Value: v.Field(i), tag: field.Tag})
		}
	}
	return all
}

// isSection reports whether the fields of a type are keys of their own.
func isSection(t reflect.Type) bool { return t.Kind() == reflect.Struct && !IsText(t) }

// IsText reports whether the values of a type have a text form, by [encoding.TextUnmarshaler].
func IsText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) ||
		t.Kind() == reflect.Pointer && t.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// words returns a path in lower case with a separator between its words: tls.certFile becomes tls_cert_file, and
// tls.clientCAFile becomes tls_client_ca_file.
func words(path, separator string) string {
	var b strings.Builder
	upper := func(i int) bool { return i >= 0 && i < len(path) && unicode.IsUpper(rune(path[i])) }
	for i, r := range path {
		switch {
		case r == '.':
			b.WriteString(separator)
			continue
		case upper(i) && i > 0 && path[i-1] != '.' && (!upper(i-1) || i+1 < len(path) && path[i+1] != '.' && !upper(i+1)):
			b.WriteString(separator)
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
