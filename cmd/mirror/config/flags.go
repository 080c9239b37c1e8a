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

// keyAnnotation is the annotation of a flag with the key of its setting, until [Describe] describes the flag.
const keyAnnotation = "setting"

// Flags adds to f the flag --config and the flags of the settings with the given keys, or of all settings that have a
// flag. Load reads the values of the flags that were given. [Describe] adds their descriptions.
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

// IsSetting reports whether a flag sets a setting.
func IsSetting(f *pflag.Flag) bool { return f.Annotations[keyAnnotation] != nil }

// addFlag adds the flag of a setting. The value of the flag is separate from every [Config].
func addFlag(f *pflag.FlagSet, key settings.Key) {
	switch v := key.Pointer().(type) {
	case *string:
		f.StringVar(v, key.Flag, *v, "")
	case *bool:
		f.BoolVar(v, key.Flag, *v, "")
	case *[]string:
		f.StringSliceVar(v, key.Flag, *v, "")
	case pflag.Value:
		f.Var(v, key.Flag, "")
	default:
		panic("the setting " + key.Path + " has a type that no flag can have")
	}
	f.Lookup(key.Flag).Annotations = map[string][]string{keyAnnotation: {key.Path}}
}

// Describe adds the descriptions of settings to their flags, in front of a usage that they have. It parses the example
// file, which takes longer than everything else that a command does before it runs. So it is called for help only.
func Describe(f *pflag.FlagSet) {
	f.VisitAll(func(flag *pflag.Flag) {
		if key := flag.Annotations[keyAnnotation]; key != nil {
			flag.Usage = summary(descriptions()[key[0]]) + flag.Usage
			delete(flag.Annotations, keyAnnotation)
		}
	})
}

// SetUsage replaces the description of a flag.
func SetUsage(flag *pflag.Flag, usage string) {
	delete(flag.Annotations, keyAnnotation)
	flag.Usage = usage
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
