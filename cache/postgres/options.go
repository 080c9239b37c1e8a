package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// connectTimeout limits how long a new connection may take, unless the URL sets connect_timeout.
	connectTimeout = 5 * time.Second
	// answerTimeout limits the wait for a free connection, and for an answer of the server: so for locks that other updates hold.
	answerTimeout = 30 * time.Second
	// maxConnections is the number of connections of a node, unless the URL sets pool_max_conns. A view that reads much keeps
	// its connection, and may need another one meanwhile.
	maxConnections = 20
)

// Options are the options of [Open].
type Options struct {
	// URL is a connection string as libpq reads it, such as postgres://mirror@db.example/mirror.
	URL string
	// PasswordFile has the password. It is read for each connection. Without it, the password is that of the URL.
	PasswordFile string
	// CAFile has the certificates that the certificate of the server is verified with. The connection uses TLS then.
	CAFile string
}

// config returns the options as pgx takes them.
func (o Options) config() (*pgxpool.Config, error) {
	text, err := o.withCertificates()
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("the address of PostgreSQL cannot be read: %s", oneLine(err)) // it does not show the password
	}
	if !strings.Contains(o.URL, "pool_max_conns") {
		config.MaxConns = maxConnections
	}
	if !strings.Contains(o.URL, "connect_timeout") {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	if o.PasswordFile != "" {
		config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) (err error) {
			c.Password, err = readPassword(o.PasswordFile)
			return err
		}
		_, err = readPassword(o.PasswordFile)
	}
	return config, err
}

// withCertificates returns the URL with the parameters for TLS.
func (o Options) withCertificates() (string, error) {
	if o.CAFile == "" {
		return o.URL, nil
	}
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme == "" {
		return "", errors.New("the address of PostgreSQL is not a URL such as postgres://mirror@db.example/mirror") // err shows the password
	}
	parameters := u.Query()
	parameters.Set("sslrootcert", o.CAFile)
	if !parameters.Has("sslmode") {
		parameters.Set("sslmode", "verify-full")
	}
	u.RawQuery = parameters.Encode()
	return u.String(), nil
}

func readPassword(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the password of PostgreSQL: %w", err)
	}
	password := strings.TrimRight(string(text), "\r\n")
	if password == "" {
		return "", fmt.Errorf("the file %s contains no password of PostgreSQL", file)
	}
	return password, nil
}
