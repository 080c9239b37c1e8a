package server

import (
	"go.uber.org/zap"

	"airmirror/api/certs"
	"airmirror/cmd/mirror/config"
)

// CheckFiles reads the certificates, keys and users that the settings name, and returns the error that a server would
// fail with. It logs what a server would only warn about.
func CheckFiles(settings config.Loaded, log *zap.Logger) error {
	if settings.TLS.Enabled() {
		if _, err := certs.Watch(settings.TLS.Files(), log); err != nil {
			return &Error{InvalidConfig, err}
		}
	}
	if _, err := settings.Auth.InitialUser.ReadPassword(); err != nil {
		return &Error{InvalidConfig, err}
	}
	if _, err := newGuard(settings.Config, nil, log); err != nil {
		return err
	}
	if _, err := newUpstream(settings.Config, settings.Registries(), Options{}, log); err != nil {
		return err
	}
	if _, err := settings.Bundles.Verifier(nil); err != nil {
		return &Error{InvalidConfig, err}
	}
	return nil
}
