from naiad.triton.prometheus import Sample, parse_metrics

TEXT = r"""# HELP nv_inference_request_success Number of successful inference requests
# TYPE nv_inference_request_success counter
nv_inference_request_success{model="gat",version="1"} 42
nv_cpu_utilization 0.25
naiad_errors_total{kind="say \"no\"",model="a{b}"} 1e+06

"""


def test_samples_have_names_labels_and_values():
    assert list(parse_metrics(TEXT)) == [
        Sample("nv_inference_request_success", {"model": "gat", "version": "1"}, 42.0),
        Sample("nv_cpu_utilization", {}, 0.25),
        Sample("naiad_errors_total", {"kind": 'say "no"', "model": "a{b}"}, 1e6),
    ]
