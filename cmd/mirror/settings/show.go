package settings

import (
	"bytes"
	"fmt"
	"net/url"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// mask stands for a secret that is set.
const mask = "********"

// Show writes what is set as YAML, each key with where its value came from behind it. Secrets are masked.
func Show(c any, origins Origins) (string, error) {
	node := new(yaml.Node)
	if err := node.Encode(masked(reflect.ValueOf(c)).Interface()); err != nil {
		return "", fmt.Errorf("write the settings: %w", err)
	}
	comment(node, "", origins)
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	if err := encoder.Encode(node); err != nil {
		return "", fmt.Errorf("write the settings: %w", err)
	}
	return out.String(), nil
}

// comment writes origins behind the keys of a section.
func comment(node *yaml.Node, path string, origins Origins) {
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		sub := join(path, key.Value)
		if value.Kind == yaml.MappingNode && isBelow(origins, sub) {
			comment(value, sub, origins)
			continue
		}
		origin, said := origins[sub]
		switch {
		case said:
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

func isBelow(origins Origins, path string) bool {
	for key := range origins {
		if strings.HasPrefix(key, path+".") {
			return true
		}
	}
	return false
}

// masked copies a value without its secrets.
func masked(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() || isText(v.Type()) {
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

// maskedURL leaves of a URL who is asked, and masks passwords and what stands behind the host: it is a secret of many
// a listener.
func maskedURL(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return mask
	}
	if u.Host == "" { // a word in the place of a URL
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

// like gives back the pointer that masked has looked through.
func like(v reflect.Value, t reflect.Type) reflect.Value {
	if t.Kind() != reflect.Pointer || v.Type() == t {
		return v
	}
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return p
}
