package bucket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"

	"github.com/segue-serving/segue/loader/store"
	"github.com/segue-serving/segue/loader/store/egress"
)

// S3 is the store of s3: references: Amazon's and what speaks its protocol. An
// endpoint that a reference names must be one of hosts, or public; one that the
// process's environment names (AWS_ENDPOINT_URL) is taken as it is.
func S3(hosts egress.Hosts) *Store {
	return &Store{
		scheme: "s3", parameters: []string{"region", "endpoint", "use_path_style", "profile", "anonymous"},
		open:   func(ctx context.Context, p place) (*blob.Bucket, error) { return openS3(ctx, p, hosts) },
		answer: answerOfS3,
	}
}

// defaultRegion is what servers other than Amazon's take any request for.
const defaultRegion = "us-east-1"

func openS3(ctx context.Context, p place, hosts egress.Hosts) (*blob.Bucket, error) {
	pathStyle, err := truth(p.parameters, "use_path_style")
	if err != nil {
		return nil, err
	}
	anonymous, err := truth(p.parameters, "anonymous")
	if err != nil {
		return nil, err
	}
	// Files are held against their SHA-256, and not every server knows the
	// checksums that Amazon's client adds of itself.
	options := []func(*config.LoadOptions) error{
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
		config.WithDefaultRegion(defaultRegion),
	}
	if region := p.parameters.Get("region"); region != "" {
		options = append(options, config.WithRegion(region))
	}
	if profile := p.parameters.Get("profile"); profile != "" {
		options = append(options, config.WithSharedConfigProfile(profile))
	}
	if anonymous {
		options = append(options, config.WithCredentialsProvider(aws.AnonymousCredentials{}))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, err
	}
	if !anonymous {
		if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
			return nil, fmt.Errorf("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SHARED_CREDENTIALS_FILE, or give the machine a role; ?anonymous=true reads a public bucket (%w)", err)
		}
	}
	endpoint := p.parameters.Get("endpoint")
	if u, err := url.Parse(endpoint); endpoint != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil) {
		return nil, store.Permanent(errors.New("endpoint: want http://HOST[:PORT] or https://HOST[:PORT]"))
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		o.UsePathStyle = pathStyle || o.UsePathStyle
		if endpoint != "" {
			o.BaseEndpoint = &endpoint
			o.HTTPClient = &http.Client{Transport: hosts.Transport()}
		}
		// A path in the host's name would need a name for every bucket.
		if host := hostOf(o.BaseEndpoint); net.ParseIP(host) != nil || host == "localhost" {
			o.UsePathStyle = true
		}
	})
	return s3blob.OpenBucket(ctx, client, p.bucket, &s3blob.Options{RequestChecksumCalculation: cfg.RequestChecksumCalculation})
}

func hostOf(endpoint *string) string {
	if endpoint == nil {
		return ""
	}
	u, err := url.Parse(*endpoint)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// truth reads a parameter that is true or false, false where it is not given.
func truth(parameters url.Values, name string) (bool, error) {
	text := parameters.Get(name)
	if text == "" {
		return false, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, store.Permanent(fmt.Errorf("%s: want true or false, found %q", name, text))
	}
	return value, nil
}

func answerOfS3(err error) (answer, bool) {
	var response *awshttp.ResponseError
	if !errors.As(err, &response) || response.Response == nil {
		return answer{}, false
	}
	a := answer{status: response.HTTPStatusCode(), header: response.Response.Header}
	var said smithy.APIError
	if errors.As(err, &said) {
		a.code = said.ErrorCode()
	}
	return a, a.status >= 300
}
