package test_test

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/distribution/distribution/v3/configuration"
)

// TestDistributionHasTheKeysThatAreMapped, as far as they are fields: parameters of drivers are not.
func TestDistributionHasTheKeysThatAreMapped(t *testing.T) {
	rows := regexp.MustCompile("(?m)^\\| `([a-z0-9.]+)` \\| `REGISTRY_").FindAllSubmatch(read(t, "../docs/migrate.md"), -1)
	for _, row := range rows {
		key := string(row[1])
		at := reflect.TypeFor[configuration.Configuration]()
		for part := range strings.SplitSeq(key, ".") {
			for at.Kind() == reflect.Pointer {
				at = at.Elem()
			}
			if at.Kind() != reflect.Struct {
				break
			}
			field, ok := fieldOf(at, part)
			if !ok {
				t.Errorf("distribution has no key %s: %v has no %s", key, at, part)
				break
			}
			at = field.Type
		}
	}
	if len(rows) < 30 {
		t.Errorf("the table has only %d rows", len(rows))
	}
}

// fieldOf finds a field by its name in YAML.
func fieldOf(t reflect.Type, name string) (reflect.StructField, bool) {
	return t.FieldByNameFunc(func(field string) bool {
		f, _ := t.FieldByName(field)
		tagged, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		return tagged == name || tagged == "" && strings.EqualFold(field, name)
	})
}
