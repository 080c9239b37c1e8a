// Package config defines the settings of a mirror and reads them from a file, the environment and flags.
//
// Each setting is defined once: its name, type and flag by a field of [Config], its default by [Default], and its text by
// deploy/mirror.yaml, which is also the example file. The key in the file, the environment variable, the flag with its
// help and the JSON schema are derived from these; see [settings] for how a key maps to a variable and a flag.
//
// To add a setting, add a field, a default, and an entry in deploy/mirror.yaml. The tests report what is missing.
package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"airmirror/cmd/mirror/config/settings"
	"airmirror/mirror"
)

// Config holds every setting. A field with the tag flag:"true" can be set by a flag. deploy/mirror.yaml describes the
// fields.
type Config struct {
	Listen         string   `yaml:"listen" flag:"true"`
	TrustedProxies []string `yaml:"trustedProxies"`
	Data           string   `yaml:"data" flag:"true"`
	Store          Store    `yaml:"store"`
	// Upstream holds upstreams in short form, [HOST=]URL. They come before Upstreams. After Load, Upstreams includes them.
	Upstream        []string   `yaml:"upstream" flag:"true"`
	Upstreams       []Upstream `yaml:"upstreams"`
	KnownUpstreams  bool       `yaml:"knownUpstreams" flag:"true"`
	Local           []string   `yaml:"local"`
	Mirrored        []string   `yaml:"mirrored"`
	OwnNames        []string   `yaml:"ownNames"`
	Offline         bool       `yaml:"offline" flag:"true"`
	Mode            string     `yaml:"mode" flag:"true"` // "" for the mode that was set last
	TagTTL          TTL        `yaml:"tagTTL" flag:"true"`
	UpstreamTimeout Duration   `yaml:"upstreamTimeout" flag:"true"`
	RetryFor        Duration   `yaml:"retryFor" flag:"true"`

	IgnoreNondistributable bool `yaml:"ignoreNondistributable" flag:"true"`

	ShutdownTimeout Duration `yaml:"shutdownTimeout" flag:"true"`
	TLS             TLS      `yaml:"tls"`
	Auth            Auth     `yaml:"auth"`
	AllowDelete     bool     `yaml:"allowDelete" flag:"true"`
	Bundles         Bundles  `yaml:"bundles"`
	GC              GC       `yaml:"gc"`
	Verify          Verify   `yaml:"verify"`
	Limits          Limits   `yaml:"limits"`
	Metrics         Metrics  `yaml:"metrics"`
	API             API      `yaml:"api"`
	Console         Console  `yaml:"console"`
	Audit           Audit    `yaml:"audit"`
	Events          Events   `yaml:"events"`
	LogLevel        string   `yaml:"logLevel" flag:"true"`
	LogFormat       string   `yaml:"logFormat" flag:"true"`
	AccessLog       bool     `yaml:"accessLog"`

	own map[string]bool // addresses of this mirror; see [mirror.Names.Own]
}

// Metrics configures where metrics are served.
type Metrics struct {
	Enabled bool   `yaml:"enabled"`
	Listen  string `yaml:"listen"` // an address of its own; "" for the address that clients use
}

// API configures where the admin API is served for users. The admin socket serves it in any case.
type API struct {
	Enabled bool   `yaml:"enabled"`
	Listen  string `yaml:"listen"` // an address of its own; "" for the address that clients use
}

// Console configures where the web console is served.
type Console struct {
	Enabled bool   `yaml:"enabled"`
	Listen  string `yaml:"listen"` // an address of its own; "" for the address that clients use
}

// Audit configures the audit log. There is none if File is empty.
type Audit struct {
	File string `yaml:"file"`
}

const defaultListen = ":5000"

// Default returns the configuration of a mirror without any settings.
func Default() Config {
	return Config{
		Listen: defaultListen, Data: "data", KnownUpstreams: true, TagTTL: TTL(time.Minute), UpstreamTimeout: Duration(5 * time.Second),
		RetryFor: Duration(5 * time.Minute), ShutdownTimeout: Duration(30 * time.Second), AllowDelete: true, LogLevel: "info", LogFormat: "auto",
		Auth:    Auth{AnonymousPull: true, LoopbackPush: LoopbackAuto},
		Store:   Store{Cache: StoreCache{Size: 10 << 30}},
		GC:      defaultGC(),
		Verify:  Verify{Rate: 10 << 20},
		Limits:  Limits{Requests: 8192, OpenUploads: 10_000, MissesPerSecond: 200, StallTimeout: Duration(5 * time.Minute)},
		Metrics: Metrics{Enabled: true},
		API:     API{Enabled: true},
		Console: Console{Enabled: true},
		Events:  Events{Queue: 64 << 20},
	}
}

// Complete validates c and returns it with all upstreams in Upstreams: those of Upstream first, the well-known ones last.
// The error contains every mistake, one per line. Each names the origin of the wrong setting.
func (c Config) Complete(origins settings.Origins) (Config, error) {
	var err error
	var errs []error
	for _, check := range []struct {
		key   string
		check func() error
	}{
		{"listen", func() error { return checkAddress(c.Listen) }},
		{"metrics.listen", func() error { return checkAddress(cmp.Or(c.Metrics.Listen, defaultListen)) }},
		{"api.listen", func() error { return checkAddress(cmp.Or(c.API.Listen, defaultListen)) }},
		{"console.listen", func() error { return checkAddress(cmp.Or(c.Console.Listen, defaultListen)) }},
		{"tls.redirectHTTP", func() error { return checkAddress(cmp.Or(c.TLS.RedirectHTTP, defaultListen)) }},
		{"data", c.checkData},
		{"store", c.checkStore},
		{"trustedProxies", c.checkProxies},
		{"upstreams", c.checkUpstreams},
		{"local", func() error { return checkPatterns(c.Local) }},
		{"mirrored", func() error { return checkPatterns(c.Mirrored) }},
		{"upstreamTimeout", func() error { return c.UpstreamTimeout.atLeast(time.Millisecond) }},
		{"mode", c.checkMode},
		{"tls.certFile", c.TLS.check},
		{"gc", c.GC.check},
		{"verify.interval", c.Verify.check},
		{"limits.requests", c.Limits.check},
		{"events.queue", c.Events.checkQueue},
		{"events.endpoints", c.Events.checkEndpoints},
		{"logLevel", c.checkLogLevel},
		{"logFormat", c.checkLogFormat},
		{"upstream", func() error { c, err = c.withUpstreams(); return err }},
		{"auth.initialUser.name", c.Auth.InitialUser.check},
		{"auth.anonymousPull", func() error { return c.Auth.checkNoRules(origins, "auth.anonymousPull", c.Auth.AnonymousPull) }},
		{"auth.anonymousPush", func() error { return c.Auth.checkNoRules(origins, "auth.anonymousPush", c.Auth.AnonymousPush) }},
		{"auth.rules", func() error {
			if len(c.Upstreams) == 0 {
				return nil // a mistake that is already listed
			}
			return c.Auth.checkRules(c.Names())
		}},
		{"auth.token.realm", c.Auth.Token.check},
		{"auth.url", c.Auth.checkURL},
		{"bundles.destination", c.Bundles.checkDestination},
		{"ownNames", c.checkOwnNames},
	} {
		for _, err := range mistakes(check.check()) {
			key := check.key
			if of := (keyError{}); errors.As(err, &of) {
				key, err = of.key, of.error
			}
			errs = append(errs, withOrigin(origins, key, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return c, err
	}
	c.own = c.addresses()
	return c, nil
}

// keyError is the error of a setting that a check of several settings found.
type keyError struct {
	key string
	error
}

// mistakes returns the errors that were joined to err.
func mistakes(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	if err == nil {
		return nil
	}
	return []error{err}
}

// withOrigin prefixes an error, which begins with the wrong value, with the origin of the setting.
func withOrigin(origins settings.Origins, key string, err error) error {
	origin, ok := origins[key]
	switch {
	case !ok:
		return err
	case strings.HasPrefix(origin, "--"):
		return fmt.Errorf("%s %w", origin, err)
	case strings.HasPrefix(origin, settings.EnvPrefix):
		return fmt.Errorf("%s=%w", origin, err)
	}
	return fmt.Errorf("%s: %s: %w", origin, key, err)
}

// checkAddress validates an address to listen on. It requires a port: without one, the system would choose any free port.
func checkAddress(text string) error {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		return fmt.Errorf("%q is not an address to listen on: write it as :5000 or 10.0.0.5:5000", text)
	}
	return nil
}

// checkData requires a data folder. An environment variable that is set to nothing makes it empty.
func (c Config) checkData() error {
	if c.Data == "" {
		return errors.New("\"\": the data folder has no name: set it with --data")
	}
	return nil
}

func (c Config) checkMode() error {
	if c.Mode == "" {
		return nil
	}
	mode, err := mirror.ParseMode(c.Mode)
	if err != nil {
		return fmt.Errorf("%s: want online, offline or auto", c.Mode)
	}
	if c.Offline && mode != mirror.Offline {
		return fmt.Errorf("%s and --offline contradict each other: remove one of them", c.Mode)
	}
	return nil
}

func (c Config) checkLogLevel() error {
	if _, err := zapcore.ParseLevel(c.LogLevel); err != nil {
		return fmt.Errorf("%s: want debug, info, warn or error", c.LogLevel)
	}
	return nil
}

func (c Config) checkLogFormat() error {
	if !slices.Contains([]string{"auto", "console", "json"}, c.LogFormat) {
		return fmt.Errorf("%s: want auto, console or json", c.LogFormat)
	}
	return nil
}
