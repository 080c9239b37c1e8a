package server

import (
	"errors"
	"fmt"
	"os"

	"go.uber.org/zap"

	"airmirror/api/certs"
	"airmirror/cmd/mirror/config"
)

// CheckFiles reads the certificates, keys, passwords and users that the settings name. The error has the kind
// [InvalidConfig] and contains everything that is wrong with them, one per line. CheckFiles logs what a server would only
// warn about.
func CheckFiles(settings config.Loaded, log *zap.Logger) error {
	var errs []error
	if settings.TLS.Enabled() {
		_, err := certs.Watch(settings.TLS.Files(), log)
		errs = append(errs, err)
	}
	_, err := settings.Auth.InitialUser.ReadPassword()
	errs = append(errs, err)
	_, err = newGuard(settings.Config, nil, log)
	errs = append(errs, err)
	_, err = newUpstream(settings.Config, settings.Registries(), Options{}, log)
	errs = append(errs, err, checkPasswordFiles(settings.Config))
	_, err = settings.Cluster()
	errs = append(errs, err, checkReadable(settings.Store.Postgres.PasswordFile, "the password of PostgreSQL"))
	_, err = settings.Bundles.Verifier(nil)
	if err = errors.Join(append(errs, err)...); err != nil {
		return &Error{InvalidConfig, err}
	}
	return nil
}

// checkPasswordFiles reads the files with the secrets for upstreams and for endpoints of events. A server reads them when
// it needs them.
func checkPasswordFiles(c config.Config) error {
	var errs []error
	for _, u := range c.Upstreams {
		for _, e := range u.Endpoints {
			errs = append(errs, checkReadable(e.Credentials.PasswordFile, "the password of %s for upstream %s", e.Credentials.Username, u.Host))
		}
	}
	for _, e := range c.Events.Endpoints {
		errs = append(errs, checkReadable(e.CAFile, "the certificates of the endpoint %s of events", e.Name))
		for _, h := range e.Headers {
			errs = append(errs, checkReadable(h.ValueFile, "the header %s of the endpoint %s of events", h.Name, e.Name))
		}
	}
	return errors.Join(errs...)
}

// checkReadable returns an error if a file cannot be read. what and args name its content.
func checkReadable(path, what string, args ...any) error {
	if path == "" {
		return nil
	}
	if _, err := os.ReadFile(path); err != nil {
		return fmt.Errorf("cannot read "+what+": %w", append(args, err)...)
	}
	return nil
}
