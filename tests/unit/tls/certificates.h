/*
 * An authority, and a certificate of it for mx.example.test, *.wild.test and 127.0.0.1, valid for a
 * hundred years; for tests alone, so the keys are no secret.
 */
#pragma once

static const char authority_pem[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBmzCCAUGgAwIBAgIUWaLgTbM6FLyFRFRY0v2lSfrH1PgwCgYIKoZIzj0EAwIw\n"
    "IjEgMB4GA1UEAwwXUG9zdHlhcmQgdGVzdCBhdXRob3JpdHkwIBcNMjYxMTI0MDYy\n"
    "NzQ1WhgPMjEyNjEwMzEwNjI3NDVaMCIxIDAeBgNVBAMMF1Bvc3R5YXJkIHRlc3Qg\n"
    "YXV0aG9yaXR5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEpDJ/LKKCMbx1safB\n"
    "CNl99Zja5xSQ0CczA/LbnggiDdAnx/coj5f9r3g1x9Oz+vKdFxFp0uMqlaa8eeN6\n"
    "gmupA6NTMFEwHQYDVR0OBBYEFD1MOQylf4Vrz2ImNytdvPYVBS4kMB8GA1UdIwQY\n"
    "MBaAFD1MOQylf4Vrz2ImNytdvPYVBS4kMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZI\n"
    "zj0EAwIDSAAwRQIhAN15NZyct3z3D5TP/DPC4yJXA5Rup/8NrpB+OL+Pkz6UAiAI\n"
    "p0tJn638tuMdt2Cqf0ABQddGEgZW228fRPbiAUvc+A==\n"
    "-----END CERTIFICATE-----\n";

static const char server_pem[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBsTCCAVegAwIBAgIUYiP2b5+JhQsFJlMdWy70VGy+H2IwCgYIKoZIzj0EAwIw\n"
    "IjEgMB4GA1UEAwwXUG9zdHlhcmQgdGVzdCBhdXRob3JpdHkwIBcNMjYxMTI0MDYy\n"
    "NzQ1WhgPMjEyNjEwMzEwNjI3NDVaMBoxGDAWBgNVBAMMD214LmV4YW1wbGUudGVz\n"
    "dDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABKkgIDWVH7iU+ZqGpKuhSDQ+5MN8\n"
    "OMxAhwCi/0HboaZ94PJFey3HBysyOdnkQmZP1KWB7oZnxTRmZgHXoQUgcD+jcTBv\n"
    "MC0GA1UdEQQmMCSCD214LmV4YW1wbGUudGVzdIILKi53aWxkLnRlc3SHBH8AAAEw\n"
    "HQYDVR0OBBYEFKxRfEuWiGmz+dPJ/mBcSMMpyzJKMB8GA1UdIwQYMBaAFD1MOQyl\n"
    "f4Vrz2ImNytdvPYVBS4kMAoGCCqGSM49BAMCA0gAMEUCIQCqyYW6j+rRIiIIwYvC\n"
    "pxT+ezDk/O9SmJwPIWspGgB76gIgO1k8LRnflXSi8ySyWFcigsT6Fe7s9pO6EXbo\n"
    "gXMzNZw=\n"
    "-----END CERTIFICATE-----\n";

static const char server_key[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEIGGVXUA9H1XbLburfB7lsTueZ07UQ3UCvcX1xPX+VOEkoAoGCCqGSM49\n"
    "AwEHoUQDQgAEqSAgNZUfuJT5moakq6FIND7kw3w4zECHAKL/Qduhpn3g8kV7LccH\n"
    "KzI52eRCZk/UpYHuhmfFNGZmAdehBSBwPw==\n"
    "-----END EC PRIVATE KEY-----\n";

static const char other_key[] = "-----BEGIN EC PRIVATE KEY-----\n"
                                "MHcCAQEEIKnnhKpSKFIOF+asRIsQLIWEWdj8RFAtf6dVaHIDt35woAoGCCqGSM49\n"
                                "AwEHoUQDQgAEBx6jvHTSOMoAr//taaIPpi9MA0Q5p2GI5MBDXVL0oVkNUo/m284u\n"
                                "9YUCh3qW/FfyPiSwrnOLKORvcYcqcwAmqg==\n"
                                "-----END EC PRIVATE KEY-----\n";

static const char locked_key[] =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "Proc-Type: 4,ENCRYPTED\n"
    "DEK-Info: AES-128-CBC,5316B49E11B153DE9B51C8C0C83C20BE\n"
    "\n"
    "C298bLfzMIMLjXUO4zg/U6xpElRtMOnUnEoF0zu+dwnYqmulRpijmQh8n4ZGoCSt\n"
    "jf98wxCVCNaDaA5nusD0WBtbK8VlhZ3cQdD0WmCjSjedBioPnOyH6wAS7QgXb0Bk\n"
    "0DiYgO02Qew2qalpmZpsY1kLdUSwQfr9V8CgM8+gmdY=\n"
    "-----END EC PRIVATE KEY-----\n";
