package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/segue-serving/segue/configs"
)

func (c *cli) getCommand() *cobra.Command {
	var effective bool
	cmd := &cobra.Command{
		Use:   "get MODEL",
		Short: "Print a model's document as it is written",
		Long: `Print a model's document as it is written. With --effective the weights of an
override that stands are put into it, and those of a rollout that was promoted
or rolled back in the rollout's place: the document to commit if that shall
become permanent. Of a document that follows a registry it has the versions that
were found there last. The name _settings prints the settings.`,
		Example: `  seguectl get mozart > mozart.yaml
  seguectl get mozart --effective
  seguectl get _settings`,
		Args: cobra.ExactArgs(1),
		RunE: c.verb(func(ctx context.Context, args []string) (report, error) {
			if err := checkDocumentName(args[0]); err != nil {
				return nil, err
			}
			if effective && args[0] == settingsName {
				return nil, usageError{errors.New("--effective is for documents of models")}
			}
			return c.with(ctx, func(s *source) (report, error) { return c.get(ctx, s, args[0], effective) })
		}),
	}
	cmd.Flags().BoolVar(&effective, "effective", false, "with the weights of the override that stands")
	return cmd
}

type getReport struct {
	Model         string `json:"model"`
	Index         uint64 `json:"index"`
	Digest        string `json:"digest"`
	WrittenByTool bool   `json:"written_by_tool"`
	// Document is the text, Content the same parsed; nil where it is refused.
	Document string          `json:"document"`
	Content  json.RawMessage `json:"content,omitempty"`
	Problems []place         `json:"problems,omitempty"`
	// Override is what was decided beside the document and is in Document.
	Override *configs.Override `json:"override,omitempty"`
}

func (r *getReport) writeText(w io.Writer) { fmt.Fprintf(w, "%s", withNewline([]byte(r.Document))) }

func (c *cli) get(ctx context.Context, s *source, name string, effective bool) (report, error) {
	item, doc, refused, err := s.stored(ctx, name)
	if err != nil {
		return nil, err
	}
	if item == nil {
		return nil, fmt.Errorf("there is no document of %s", name)
	}
	r := &getReport{Model: name, Index: item.Index, WrittenByTool: item.Tool, Problems: problemsOf(refused)}
	if effective {
		if refused != nil {
			return nil, refused
		}
		if doc, err = c.effective(ctx, s, r, item, doc); err != nil {
			return nil, err
		}
	}
	r.Document, r.Digest = string(doc.value), configs.EntryDigest(doc.value)
	switch {
	case doc.model != nil:
		r.Content = configs.Canonical(doc.model)
	case doc.settings != nil:
		r.Content = configs.CanonicalSettings(doc.settings)
	}
	return r, nil
}

// effective is the document to commit so that what was decided beside it
// becomes permanent: with the weights of the hold that stands, or with those
// that a rollout has ended with, in the place of the rollout. A rollout that
// goes on is in the document as it is.
func (c *cli) effective(ctx context.Context, s *source, r *getReport, item *configs.Item, doc *document) (_ *document, err error) {
	value := item.Value
	if doc.model.Follow != nil {
		if err := doc.whole(); err != nil {
			return nil, err
		}
		value = configs.Canonical(doc.resolved)
		if doc, err = parse(doc.name, doc.from+" with what it follows", s.base, value); err != nil {
			return nil, err
		}
	}
	_, override, err := s.override(ctx, doc.name)
	if err != nil || override == nil {
		return doc, err
	}
	now := doc.model.Steer(override, configs.LatestVersion, c.now())
	if now.Hold == nil && (now.Rollout == nil || now.Rollout.Running()) {
		return doc, nil
	}
	entry := configs.Entry{Name: doc.name, Value: value, Where: item.Key, Base: s.base}
	var text []byte
	if doc.model.Rollout != nil {
		text, err = configs.EndRollout(entry, answering(now.Weights))
	} else {
		text, err = configs.SetWeights(entry, now.Weights)
	}
	if err != nil {
		return nil, refusal(doc.name, err)
	}
	r.Override = override
	return parse(doc.name, doc.from, s.base, text)
}
