# terraform test: the plan's shape, without an account (Terraform 1.7 or later).

mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = {
      names = ["us-east-1a", "us-east-1b", "us-east-1c"]
    }
  }
}

run "blue_gets_all_at_first" {
  command = plan

  assert {
    condition     = local.weights == { blue = 100, green = 0 }
    error_message = "green gets nothing before it is asked for"
  }

  assert {
    condition     = aws_autoscaling_group.colour["green"].desired_capacity == 0
    error_message = "a colour without requests costs nothing"
  }
}

run "a_canary_gets_a_few" {
  command = plan

  variables {
    versions     = { blue = "1", green = "2" }
    capacity     = { blue = 2, green = 2 }
    green_weight = 10
  }

  assert {
    condition     = local.weights == { blue = 90, green = 10 }
    error_message = "ten in a hundred"
  }
}

run "no_more_than_all" {
  command = plan

  variables {
    green_weight = 101
  }

  expect_failures = [var.green_weight]
}
