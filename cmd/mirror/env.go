package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"airmirror/cmd/mirror/settings"
)

// wanted says what a flag takes, where its error says how it was read.
func wanted(err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	if number := (*strconv.NumError)(nil); errors.As(err, &number) {
		if number.Func == "ParseBool" {
			return errors.New("want true or false")
		}
		return errors.New("want a number")
	}
	return errors.Unwrap(invalid)
}

// warnOfTypos names the variables that are no setting and look like one. Others that begin in the same way are somebody
// else's: Kubernetes sets MIRROR_PORT where a service is called mirror.
func warnOfTypos(w io.Writer, environ []string) {
	known := []string{settings.EnvPrefix + "CONFIG"}
	c := defaults()
	for _, key := range settings.Keys(&c) {
		known = append(known, key.Env)
	}
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, settings.EnvPrefix) || slices.Contains(known, name) {
			continue
		}
		if nearest, ok := settings.Nearest(name, known); ok {
			fmt.Fprintf(w, "mirror: the variable %s is no setting and does nothing: is it %s?\n", name, nearest)
		}
	}
}
