"""Credentials in URLs of every kind are found and hidden; URLs without any stay as they are."""

import pytest

from ingest_ray.sdk.url_credentials import credentials_of, has_credentials, plain_uri, shown_url

SECRET = "hunter2-xyz"

WITH = [
    "http://admin:{}@head:8265",
    "http://:{}@head:8265/",
    "https://{}@git.example/repo",
    "HTTPS://{}@proxy.example:3128",
    "redis://:{}@cache/0",
    "rediss://app:{}@cache/0",
    "s3://AKIA123:{}@bucket/prefix",
    "s3://bucket/x?access_key=AKIA&secret_key={}",
    "s3://bucket/x?aws_secret_access_key={}",
    "https://b.s3.amazonaws.com/x?X-Amz-Credential=c&X-Amz-Signature={}",
    "https://b.s3.amazonaws.com/x?AWSAccessKeyId={}",
    "https://b.s3.amazonaws.com/x?X-Amz-Security-Token={}",
    "https://storage.googleapis.com/b/x?X-Goog-Signature={}",
    "https://acc.blob.core.windows.net/c?sv=2024&sig={}",
    "abfss://c@acc.dfs.core.windows.net/x?sas_token={}",
    "DefaultEndpointsProtocol=https;AccountName=a;AccountKey={}",
    "https://api.example/v1?key={}",
    "https://fn.example/api/run?code={}",
    "https://id.example/jwks?client_secret={}",
    "https://app.example/#access_token={}",
    "https://app.example/x?pass%77ord={}",
    "jdbc:sqlserver://db;user=app;password={{{}}};encrypt=true",
    "jdbc:sqlserver://db;user=app;password = {} ;encrypt=true",
    "jdbc:sqlserver://db;trustStorePassword={}",
    "jdbc:postgresql://db/x?sslpassword={}",
    "jdbc:oracle:thin:scott/{}@db:1521/x",
    "host=db user=app password={} dbname=x",
    "mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BPWD%3D{}%3B",
    "ray://:{}@head:10001",
]


@pytest.mark.parametrize("url", WITH)
def test_credentials_of_a_url_are_found_and_hidden(url: str) -> None:
    text = url.format(SECRET)
    assert any(SECRET in found for found in credentials_of(text))
    assert SECRET not in shown_url(text)
    assert not has_credentials(shown_url(text))
    with pytest.raises(ValueError) as caught:
        plain_uri(text)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////var/lib/shop.db",
        "postgresql://app@db:5432/shop?sslmode=verify-full&sslkey=/etc/key.pem&application_name=x",
        "postgresql://app@db/shop?passfile=/home/app/.pgpass",
        "jdbc:sqlserver://db:1433;databaseName=shop;user=app;authentication=NotSpecified",
        "jdbc:oracle:thin:@//db:1521/shop",
        "https://db:8080/path?page=2&monkey=1&keyword=x",
        "s3://bucket/x?region=eu-central-1&endpoint_override=minio:9000&scheme=http",
        "abfss://container@account.dfs.core.windows.net/lake",
        "./lake",
        "/srv/lake with spaces",
        "127.0.0.1:7233",
        "git@github.com:owner/repo.git",
        "sqlite:///tokens.db?mode=ro",
    ],
)
def test_a_url_without_credentials_stays_as_it_is(url: str) -> None:
    assert credentials_of(url) == ()
    assert shown_url(url) == url
    assert plain_uri(url) == url
