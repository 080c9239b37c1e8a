package config

import (
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"airmirror/cmd/mirror/config/settings"
)

// StoreKeys are the settings that apply to every command that opens a data folder.
var StoreKeys = []string{"data", "upstream", "knownUpstreams", "offline", "upstreamTimeout", "retryFor", "ignoreNondistributable"}

// Flags adds to f the flag --config and the flags of the settings with the given keys, or of all settings that have a
// flag. Load reads the values of the flags that were given.
func (s *Source) Flags(f *pflag.FlagSet, keys ...string) {
	f.SortFlags = false
	f.StringVar(&s.File, "config", os.Getenv(fileVariable), "read settings from this YAML `file`")
	s.flags = f
	for _, key := range Keys() {
		if key.HasFlag && (len(keys) == 0 || slices.Contains(keys, key.Path)) {
			addFlag(f, key)
		}
	}
}

// addFlag adds the flag of a setting. The value of the flag is separate from every [Config].
func addFlag(f *pflag.FlagSet, key settings.Key) {
	usage := summary(descriptions()[key.Path])
	switch v := key.Pointer().(type) {
	case *string:
		f.StringVar(v, key.Flag, *v, usage)
	case *bool:
		f.BoolVar(v, key.Flag, *v, usage)
	case *[]string:
		f.StringSliceVar(v, key.Flag, *v, usage)
	case pflag.Value:
		f.Var(v, key.Flag, usage)
	default:
		panic("the setting " + key.Path + " has a type that no flag can have")
	}
}

// summary returns the first sentence of a description as the help of a flag.
func summary(description string) string {
	first, _, _ := strings.Cut(description, ". ")
	first = strings.TrimSuffix(first, ".")
	r, size := utf8.DecodeRuneInString(first)
	if second, _ := utf8.DecodeRuneInString(first[size:]); unicode.IsUpper(second) { // an abbreviation
		return first
	}
	return string(unicode.ToLower(r)) + first[size:]
}
