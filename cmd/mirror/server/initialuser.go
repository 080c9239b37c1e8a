package server

import (
	"go.uber.org/zap"

	"airmirror/api/auth"
	"airmirror/cmd/mirror/config"
)

// createInitialUser creates the configured user if there are no users.
func createInitialUser(c config.Config, log *zap.Logger) error {
	user := c.Auth.InitialUser
	if user.Name == "" {
		return nil
	}
	if users, err := auth.Users(c.Htpasswd()); err != nil || len(users) > 0 {
		return err
	}
	password, err := user.ReadPassword()
	if err == nil {
		_, err = auth.SetPassword(c.Htpasswd(), user.Name, password)
	}
	if err != nil {
		return err
	}
	log.Info("created the first user", zap.String("user", user.Name), zap.String("file", c.Htpasswd()))
	return nil
}
