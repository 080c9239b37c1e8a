package config

import (
	"encoding/json"
	"reflect"
	"strings"

	"airmirror/cmd/mirror/config/settings"
)

// Schema returns a JSON schema of the configuration file, for editors and other tools.
func Schema() ([]byte, error) {
	c := Default()
	s := schemaOf(reflect.ValueOf(c), "")
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Settings of a mirror"
	return json.MarshalIndent(s, "", "  ")
}

// schemaOf returns the schema of a section, whose values are the defaults.
func schemaOf(v reflect.Value, path string) map[string]any {
	properties := map[string]any{}
	for _, field := range settings.Fields(v) {
		sub := strings.TrimPrefix(path+"."+field.Name, ".")
		p := typeSchema(field.Value, sub)
		if text := descriptions()[sub]; text != "" {
			p["description"] = strings.ReplaceAll(text, "`", "")
		}
		properties[field.Name] = p
	}
	return map[string]any{"type": []string{"object", "null"}, "additionalProperties": false, "properties": properties}
}

// typeSchema returns the schema of a value, with its default unless it is the zero value.
func typeSchema(v reflect.Value, path string) map[string]any {
	t := v.Type()
	if t.Kind() == reflect.Pointer {
		return typeSchema(reflect.Zero(t.Elem()), path)
	}
	if settings.IsText(t) { // YAML reads 0 and true as other types; both are text here
		return withDefault(map[string]any{"type": []string{"string", "number", "boolean"}}, v)
	}
	switch t.Kind() {
	case reflect.Struct:
		return schemaOf(v, path)
	case reflect.Slice:
		return map[string]any{"type": []string{"array", "null"}, "items": typeSchema(reflect.Zero(t.Elem()), path)}
	case reflect.Map:
		return map[string]any{"type": []string{"object", "null"}, "additionalProperties": typeSchema(reflect.Zero(t.Elem()), path)}
	case reflect.Bool:
		return withDefault(map[string]any{"type": "boolean"}, v)
	case reflect.Int:
		return withDefault(map[string]any{"type": "integer"}, v)
	case reflect.Float64:
		return withDefault(map[string]any{"type": "number"}, v)
	}
	return withDefault(map[string]any{"type": "string"}, v)
}

func withDefault(schema map[string]any, v reflect.Value) map[string]any {
	if !v.IsZero() {
		schema["default"] = v.Interface()
	}
	return schema
}
