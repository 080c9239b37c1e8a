package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

const envPrefix = "MIRROR_"

// envName is the variable of a flag: MIRROR_LOG_LEVEL of --log-level.
func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// flagsFromEnv sets every flag that was not given from its variable.
func flagsFromEnv(flags *pflag.FlagSet) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		name := envName(f.Name)
		value, ok := os.LookupEnv(name)
		if !ok || f.Changed || failed != nil {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			failed = &exitError{exitUsage, fmt.Errorf("%s=%s: %w", name, value, wanted(err))}
		}
	})
	return failed
}

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
	var known []string
	newServeCommand().Flags().VisitAll(func(f *pflag.Flag) { known = append(known, envName(f.Name)) })
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(known, name) {
			continue
		}
		nearest := slices.MinFunc(known, func(a, b string) int { return distance(name, a) - distance(name, b) })
		if distance(name, nearest) <= 2 {
			fmt.Fprintf(w, "mirror: the variable %s is no setting and does nothing: is it %s?\n", name, nearest)
		}
	}
}

// distance is how many bytes have to be inserted, removed or replaced to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := min(row[j], row[j+1]) + 1
			if a[i] == b[j] {
				next = min(next, diagonal)
			} else {
				next = min(next, diagonal+1)
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}
