package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airmirror/api/admin"
	"airmirror/api/auth"
	"airmirror/api/registry"
	"airmirror/mirror"
)

func newTokenCommand() *cobra.Command {
	return parentCommand(&cobra.Command{
		Use:   "token",
		Short: "Manage API tokens for programs",
		Example: `  mirror token create ci --right pull,push --repository 'team/**' --expires 90d
  mirror token ls
  mirror token rm ci`,
		Long: `Manage API tokens: accounts for programs, with rights of their own. A program logs in with the name of
the token and its secret as the password, as with docker login, or sends the secret as a bearer
token to the HTTP API.

The tokens are in the index of the mirror, so that a backup has them. Only hashes of the secrets
are stored. If there are tokens, clients on the machine of the mirror need a login to push, as if
there were users.`,
	}, newTokenCreateCommand(), newTokenListCommand(), newTokenRemoveCommand())
}

func newTokenCreateCommand() *cobra.Command {
	q := &adminCommand{}
	var rights, repositories []string
	var expires string
	cmd := q.command(&cobra.Command{
		Use:   "create NAME",
		Short: "Create a token and print its secret",
		Long: `Create a token and print its secret. The secret is printed once and cannot be read again.

The rights are those of rules: pull, push, delete, and admin, which includes the others and for
'**' also the administration of the mirror. The repositories are patterns as in rules. Clients read
before they push: give pull with push.`,
		Example: `  mirror token create ci --right pull,push --repository 'team/**' --expires 90d
  mirror token create backup --right admin --repository '**'
  mirror token create plant7 --right pull --repository '**' --quiet > secret`,
		Args: arguments("NAME"),
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		switch {
		case len(rights) == 0:
			return &exitError{exitUsage, errors.New("--right is missing: say what the token allows, as in --right pull,push")}
		case len(repositories) == 0:
			return &exitError{exitUsage, errors.New("--repository is missing: say where the token allows it, as in --repository 'team/**'")}
		}
		req := admin.TokenRequest{Name: args[0], Repositories: repositories}
		for _, right := range rights {
			req.Actions = append(req.Actions, registry.Action(right))
		}
		if expires != "" {
			lifetime, err := mirror.ParseDuration(expires)
			if err != nil || lifetime <= 0 {
				return &exitError{exitUsage, fmt.Errorf("--expires %s: want a duration, as in 12h or 90d", expires)}
			}
			req.Expires = time.Now().Add(lifetime)
		}
		created, err := client.CreateToken(cmd.Context(), req)
		switch {
		case mirror.CodeOf(err) == mirror.CodeNameInvalid:
			return &exitError{exitUsage, err}
		case err != nil:
			return err
		case q.json:
			return printJSON(cmd.OutOrStdout(), created)
		case q.quiet:
			_, err = fmt.Fprintln(cmd.OutOrStdout(), created.Secret)
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n%s may %s %s, %s. The secret is not shown again.\n", created.Secret, created.Name,
			joinActions(created.Actions, " and "), strings.Join(created.Repositories, ", "), expiryOf(created.Token))
		return err
	})
	f := cmd.Flags()
	f.StringSliceVar(&rights, "right", nil, "what the token allows: `pull`, push, delete or admin; may be repeated")
	f.StringSliceVar(&repositories, "repository", nil, "`pattern` of the repositories that it allows this in; may be repeated")
	f.StringVar(&expires, "expires", "", "the token expires after this `duration`, as in 90d (default never)")
	printsNames(f)
	f.Lookup(quietFlag).Usage = "print only the secret"
	var actions []string
	for _, action := range auth.Actions() {
		actions = append(actions, string(action))
	}
	completeFlags(cmd, map[string]cobra.CompletionFunc{"right": oneOf(actions...)})
	return cmd
}

// joinActions returns the actions of a token in words.
func joinActions(actions []registry.Action, separator string) string {
	var words []string
	for _, action := range actions {
		words = append(words, string(action))
	}
	return strings.Join(words, separator)
}

// expiryOf returns when a token expires, in words.
func expiryOf(t admin.Token) string {
	switch {
	case t.Expires.IsZero():
		return "and does not expire"
	case t.Expired(time.Now()):
		return "and has expired"
	}
	return "until " + t.Expires.Local().Format("2006-01-02 15:04")
}

func newTokenListCommand() *cobra.Command {
	q := &adminCommand{}
	cmd := q.command(&cobra.Command{
		Use:   "ls",
		Short: "List tokens, and when they were used",
		Long:  `List the tokens with their rights, their expiry, and their last use to the hour. Secrets are not stored.`,
		Example: `  mirror token ls
  mirror token ls --json | jq -r '.[] | select(.lastUsed == null) | .name'`,
		Args: noArguments,
	}, func(cmd *cobra.Command, client *admin.Client, _ []string) error {
		tokens, err := client.Tokens(cmd.Context())
		if err != nil {
			return err
		}
		return printTokens(cmd, tokens, q.output)
	})
	printsNames(cmd.Flags())
	return cmd
}

func printTokens(cmd *cobra.Command, tokens []admin.Token, o output) error {
	out := cmd.OutOrStdout()
	switch {
	case o.json:
		return printJSON(out, tokens)
	case o.quiet:
		for _, token := range tokens {
			fmt.Fprintln(out, token.Name)
		}
		return nil
	case len(tokens) == 0:
		_, err := fmt.Fprintln(out, "there are no tokens")
		return err
	}
	t := newTable(out, "NAME", "RIGHTS", "REPOSITORIES", "EXPIRES", "LAST USED")
	for _, token := range tokens {
		expires := age(token.Expires)
		if token.Expired(time.Now()) {
			expires = "expired"
		}
		t.row(token.Name, joinActions(token.Actions, ","), strings.Join(token.Repositories, ","), expires, age(token.LastUsed))
	}
	return t.Flush()
}

func newTokenRemoveCommand() *cobra.Command {
	q := &adminCommand{}
	cmd := q.command(&cobra.Command{
		Use:   "rm NAME...",
		Short: "Revoke tokens",
		Long: `Revoke tokens. Clients that use them are refused from then on.

Exit codes: 0 revoked, 6 there is no such token; others as for serve.`,
		Example: `  mirror token rm ci`,
		Args:    someArguments("NAME"),
	}, func(cmd *cobra.Command, client *admin.Client, args []string) error {
		revoked := []string{}
		var failed error
		for _, name := range args {
			err := client.RevokeToken(cmd.Context(), name)
			if mirror.CodeOf(err) == mirror.CodeNameUnknown {
				err = &exitError{exitMissing, err}
			}
			if err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			revoked = append(revoked, name)
			if !q.json {
				fmt.Fprintf(cmd.OutOrStdout(), "%s was revoked\n", name)
			}
		}
		if q.json {
			return errors.Join(failed, printJSON(cmd.OutOrStdout(), revoked))
		}
		return failed
	})
	cmd.ValidArgsFunction = q.complete(0, listTokens)
	return cmd
}

func listTokens(ctx context.Context, client *admin.Client, add func(string)) error {
	tokens, err := client.Tokens(ctx)
	for _, token := range tokens {
		add(token.Name)
	}
	return err
}
