package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"airmirror/cmd/mirror/config/settings"
	"airmirror/mirror"
)

// fileVariable is the environment variable that names the configuration file.
const fileVariable = settings.EnvPrefix + "CONFIG"

// PasswordVariable is the environment variable with the password for a mirror on another machine.
const PasswordVariable = settings.EnvPrefix + "PASSWORD"

// Source is where the configuration of a command comes from: a file, the environment, and flags of the command. A flag
// overrides a variable, and a variable overrides the file.
type Source struct {
	File  string // path of the YAML file, "" for none
	flags *pflag.FlagSet
}

// Loaded is a valid [Config] and its origin.
type Loaded struct {
	Config
	Source  Source
	Origins settings.Origins
}

// Load reads and validates the configuration. An error names the file and line, the variable or the flag.
func (s Source) Load() (Loaded, error) {
	layers := settings.Layers{File: s.File, Environ: os.Environ(), Flags: map[string]string{}}
	if s.File != "" {
		text, err := os.ReadFile(s.File)
		if errors.Is(err, os.ErrNotExist) {
			return Loaded{}, fmt.Errorf("the configuration %s does not exist: 'mirror config example' prints one", s.File)
		}
		if err != nil {
			return Loaded{}, fmt.Errorf("cannot read the configuration: %w", err)
		}
		layers.Text = mirror.Text(text)
		if err := otherRegistry(s.File, layers.Text); err != nil {
			return Loaded{}, err
		}
	}
	for _, key := range Keys() {
		if f := s.flags.Lookup(key.Flag); f != nil && f.Changed {
			layers.Flags[key.Path] = flagText(f)
		}
	}
	c := Default()
	origins, err := settings.Load(&c, layers)
	c, invalid := c.Complete(origins) // with the default of what cannot be read, so that all mistakes are listed at once
	if err = errors.Join(err, invalid); err != nil {
		return Loaded{}, err
	}
	return Loaded{Config: c, Source: s, Origins: origins}, nil
}

// flagText returns the value of a flag in YAML.
func flagText(f *pflag.Flag) string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		text, _ := json.Marshal(list.GetSlice()) // strings always encode
		return string(text)
	}
	return f.Value.String()
}

// Reload reads the configuration again from where it came from.
func (l Loaded) Reload() (Loaded, error) {
	if l.Source.flags == nil {
		return Loaded{}, errors.New("these settings were not read from a file, the environment or flags")
	}
	return l.Source.Load()
}

// Show returns the settings in effect as YAML, each with its origin in a comment. Secrets are masked. With paths, such as
// upstreams or auth.rules, it returns only those.
func (l Loaded) Show(paths ...string) (string, error) {
	return settings.Show(&l.Config, l.Origins, paths...)
}

// Paths returns the paths of all settings and of their sections, in order: tls, tls.certFile.
func Paths() (paths []string) {
	for _, key := range Keys() {
		for i, r := range key.Path {
			if section := key.Path[:i]; r == '.' && !slices.Contains(paths, section) {
				paths = append(paths, section)
			}
		}
		paths = append(paths, key.Path)
	}
	return paths
}

// Keys returns the keys of all settings, each with its default value.
func Keys() []settings.Key {
	c := Default()
	return settings.Keys(&c)
}

// MisspeltVariables returns a warning for each environment variable whose name resembles the variable of a setting. It
// ignores other variables with the same prefix: Kubernetes sets MIRROR_PORT for a service with the name mirror.
func MisspeltVariables(environ []string) (warnings []string) {
	if !slices.ContainsFunc(environ, func(variable string) bool { return strings.HasPrefix(variable, settings.EnvPrefix) }) {
		return nil
	}
	known := []string{fileVariable, PasswordVariable}
	for _, key := range Keys() {
		known = append(known, key.Env)
	}
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, settings.EnvPrefix) || slices.Contains(known, name) {
			continue
		}
		if nearest, ok := settings.Nearest(name, known); ok {
			warnings = append(warnings, fmt.Sprintf("the environment variable %s is unknown and has no effect: did you mean %s?", name, nearest))
		}
	}
	return warnings
}
