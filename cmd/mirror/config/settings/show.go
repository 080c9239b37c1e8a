package settings

import (
	"bytes"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// mask is shown in the place of a secret.
const mask = "********"

// Show returns the settings as YAML, with the origin of each value in a comment. Secrets are masked. With paths, such as
// upstreams or auth.rules, it returns only these settings and those below them.
func Show(c any, origins Origins, paths ...string) (string, error) {
	node := new(yaml.Node)
	if err := node.Encode(masked(reflect.ValueOf(c)).Interface()); err != nil {
		return "", fmt.Errorf("encode the settings: %w", err)
	}
	comment(node, "", origins)
	if len(paths) > 0 {
		selectPaths(node, "", paths)
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		return "", fmt.Errorf("encode the settings: %w", err)
	}
	return out.String(), nil
}

// comment adds origins as comments to the keys of a section.
func comment(node *yaml.Node, path string, origins Origins) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		sub := join(path, key.Value)
		if value.Kind == yaml.MappingNode && isBelow(origins, sub) {
			comment(value, sub, origins)
			continue
		}
		origin, set := origins[sub]
		switch {
		case set:
		case value.Kind == yaml.MappingNode && len(value.Content) > 0:
			comment(value, sub, origins)
			continue
		default:
			origin = "default"
		}
		if value.Kind != yaml.ScalarNode && len(value.Content) > 0 {
			key.LineComment = origin
		} else {
			value.LineComment = origin
		}
	}
}

// selectPaths removes the keys of a section that are none of the paths, nor above or below one.
func selectPaths(node *yaml.Node, path string, paths []string) {
	var kept []*yaml.Node
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		sub := join(path, key.Value)
		switch {
		case slices.ContainsFunc(paths, func(p string) bool { return sub == p || strings.HasPrefix(sub, p+".") }):
		case slices.ContainsFunc(paths, func(p string) bool { return strings.HasPrefix(p, sub+".") }):
			selectPaths(value, sub, paths)
		default:
			continue
		}
		kept = append(kept, key, value)
	}
	node.Content = kept
}

// isBelow reports whether a key below path has an origin.
func isBelow(origins Origins, path string) bool {
	for key := range origins {
		if strings.HasPrefix(key, path+".") {
			return true
		}
	}
	return false
}

// masked returns a copy of a value in which secrets are masked.
func masked(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() || IsText(v.Type()) {
			return v
		}
		v = v.Elem()
	}
	switch {
	case isSection(v.Type()):
		c := reflect.New(v.Type()).Elem()
		c.Set(v)
		for i := range c.NumField() {
			field := c.Type().Field(i)
			switch {
			case !field.IsExported():
			case field.Tag.Get("secret") == "":
				c.Field(i).Set(like(masked(v.Field(i)), field.Type))
			case v.Field(i).IsZero():
			case field.Tag.Get("secret") == "url":
				c.Field(i).SetString(maskedURL(v.Field(i).String()))
			default:
				c.Field(i).SetString(mask)
			}
		}
		return c
	case v.Kind() == reflect.Slice && isSection(v.Type().Elem()) && !v.IsNil():
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			c.Index(i).Set(masked(v.Index(i)))
		}
		return c
	}
	return v
}

// maskedURL returns a URL with the password and everything after the host masked. Many receivers of webhooks use the path
// or the query as a secret.
func maskedURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return mask
	}
	if u.Host == "" && u.Scheme == "" { // a word such as none
		return text
	}
	shown := u.Scheme + "://"
	if u.User != nil {
		shown += u.User.Username()
		if _, set := u.User.Password(); set {
			shown += ":" + mask
		}
		shown += "@"
	}
	shown += u.Host
	if rest := u.RequestURI(); rest != "/" || u.Fragment != "" {
		shown += "/" + mask
	}
	return shown
}

// like returns v as a pointer if t is a pointer type, since masked dereferences pointers.
func like(v reflect.Value, t reflect.Type) reflect.Value {
	if t.Kind() != reflect.Pointer || v.Type() == t {
		return v
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return p
}
